#include "rule_steps.hpp"

#include <algorithm>
#include <bitset>
#include <map>

#include "hash.hpp"
#include "primitives/table.hpp"
#include "rules.hpp"

namespace codeit {

namespace {

// The number of containers of each type, the cheapest, that are considered.
constexpr std::pair<Atom, size_t> kContainers[] = {
    {Atom::Objects, 8}, {Atom::IndicesSet, 2}, {Atom::Indices, 4}, {Atom::TupleTuple, 2}};
// Limits for each container.
constexpr size_t kMaxChoices = 400;
constexpr size_t kMaxAdded = 60;    // choices that are added to the enumeration
constexpr size_t kMaxDrawings = 100;
constexpr size_t kMaxPartners = 60; // colours, offsets and objects that drawings are combined with

// Adds an item, and keeps only the cheapest with each key.
template <class Key, class Item>
void keep_cheapest(std::unordered_map<Key, size_t>& known, const Key& key, std::vector<Item>& items,
                   const Item& item) {
    auto [at, is_new] = known.try_emplace(key, items.size());
    if (is_new) items.push_back(item);
    else if (item.bits < items[at->second].bits) items[at->second] = item;
}

// --- choosing elements ------------------------------------------------------------------------------

using Elements = std::bitset<Rules::kMaxElements>;

// How elements are chosen by a rule: those for which it is true, or has the greatest, the least, the
// commonest or the rarest of its values on the same input.
enum class Chosen : uint8_t { True, Greatest, Least, Commonest, Rarest };
constexpr int kChosenBits[] = {0, 4, 4, 6, 6}, kNegationBits = 3;

struct Choice {
    Chosen how;
    bool negated;
    uint32_t rule;
    int bits;
    Elements elements;
    bool single; // exactly one element of each input
};

class Choices {
  public:
    explicit Choices(const Rules& rules);
    const std::vector<Choice>& in_order() const { return choices_; } // of bits

  private:
    void add_rule(uint32_t rule);
    void add(Chosen how, uint32_t rule, const Elements& elements);

    const Rules& rules_;
    std::vector<Choice> choices_;
    std::unordered_map<Elements, size_t> known_;
};

Choices::Choices(const Rules& rules) : rules_(rules) {
    for (uint32_t rule = 0; rule < rules.size(); ++rule) add_rule(rule);
    std::ranges::stable_sort(choices_, {}, &Choice::bits);
    if (choices_.size() > kMaxChoices) choices_.resize(kMaxChoices);
}

void Choices::add_rule(uint32_t rule) {
    const auto elements = rules_.elements();
    const Atom type = rules_.type(rule);
    auto number = [&](size_t e) {
        Value v = rules_.value(rule, e);
        return v.is_number() ? v.num : 0;
    };
    Elements yes, greatest, least, commonest, rarest;
    bool ranked = true, counted = true; // on each input: values differ; one is commonest and one rarest
    for (size_t first = 0, end = 0; first < elements.size(); first = end) {
        std::map<uint64_t, int> times;
        int64_t top = INT64_MIN, low = INT64_MAX;
        for (; end < elements.size() && elements[end].example == elements[first].example; ++end) {
            top = std::max(top, number(end)), low = std::min(low, number(end));
            ++times[rules_.hash(rule, end)];
        }
        int most = 0, fewest = INT32_MAX, with_most = 0, with_fewest = 0;
        for (auto [_, n] : times) most = std::max(most, n), fewest = std::min(fewest, n);
        for (auto [_, n] : times) with_most += n == most, with_fewest += n == fewest;
        ranked = ranked && (top > low || end - first == 1);
        counted = counted && times.size() > 1 && with_most == 1 && with_fewest == 1;
        for (size_t e = first; e < end; ++e) {
            int n = times[rules_.hash(rule, e)];
            yes[e] = number(e) != 0, greatest[e] = number(e) == top, least[e] = number(e) == low;
            commonest[e] = n == most, rarest[e] = n == fewest;
        }
    }
    if (type == Atom::Boolean) return add(Chosen::True, rule, yes);
    if (type == Atom::Integer && ranked) {
        add(Chosen::Greatest, rule, greatest);
        add(Chosen::Least, rule, least);
    }
    if (counted) {
        add(Chosen::Commonest, rule, commonest);
        add(Chosen::Rarest, rule, rarest);
    }
}

void Choices::add(Chosen how, uint32_t rule, const Elements& elements) {
    const size_t n = rules_.elements().size();
    for (bool negated : {false, true}) {
        int bits = rules_.bits(rule) + kChosenBits[int(how)] + negated * kNegationBits;
        Choice choice{how, negated, rule, bits, elements, true};
        if (negated) choice.elements = ~elements & ~(Elements().set() << n);
        if (choice.elements.none() || choice.elements.count() == n) continue;
        std::unordered_map<size_t, int> count_by_example;
        for (size_t e = 0; e < n; ++e) count_by_example[rules_.elements()[e].example] += choice.elements[e];
        for (auto [_, chosen] : count_by_example) choice.single = choice.single && chosen == 1;
        keep_cheapest(known_, choice.elements, choices_, choice);
    }
}

// --- drawing for chosen elements --------------------------------------------------------------------

// What is drawn for each element.
struct Drawing {
    enum class How : uint8_t {
        Patch,      // the patch that a rule gives
        Recoloured, // the same, in the colour that another rule gives
        Moved,      // the element, moved by the offset that a rule gives
        Copied      // an object that is the same for all elements, moved by such an offset
    } how;
    uint32_t patch;       // a rule; for Copied an expression
    uint32_t partner;     // a rule: the colour or the offset
    const Choice* choice; // nullptr for all elements
    int bits;             // without those of the container
};

class Drawings {
  public:
    Drawings(const Enumeration& enumeration, const Targets& targets, const Rules& rules,
             const std::vector<Choice>& choices);
    const std::vector<Drawing>& in_order() const { return drawings_; } // of bits

  private:
    static constexpr int kNone = -1, kMixed = -2; // as the colour of a patch in the output

    void add_patches(uint32_t rule);
    void add_moved();
    void add_copied();
    // Adds a drawing for elements in agreeing_. It is useful only if some of these are also in changing_.
    void add(Drawing drawing);
    void add_for(Drawing drawing, const Elements& elements);
    template <class Visit> void each_shown(Value patch, size_t element, int by_i, int by_j, Visit visit);
    void check_moved(Value object, size_t element, Value offset);

    const Enumeration& enumeration_;
    const Targets& targets_;
    const Rules& rules_;
    const std::vector<Choice>& choices_;
    const int filter_bits_, recolour_bits_, shift_bits_; // of calls
    std::vector<size_t> demonstration_; // of each element
    Elements shown_;                    // elements of demonstrations
    std::vector<uint32_t> colours_, offsets_; // rules
    // Elements for which the present drawing agrees with the output, and for which it changes the first
    // canvas.
    Elements agreeing_, changing_;
    bool under_ = false; // whether only the ground of the canvas is drawn on
    std::unordered_map<uint64_t, size_t> known_; // drawings by a hash of the cells drawn
    std::vector<Drawing> drawings_;
};

Drawings::Drawings(const Enumeration& enumeration, const Targets& targets, const Rules& rules,
                   const std::vector<Choice>& choices)
    : enumeration_(enumeration), targets_(targets), rules_(rules), choices_(choices),
      filter_bits_(enumeration.call_bits("sfilter")), recolour_bits_(enumeration.call_bits("recolor")),
      shift_bits_(enumeration.call_bits("shift")) {
    for (const auto& element : rules.elements()) {
        size_t d = 0;
        while (d < targets.size() && enumeration.demonstration(d) != element.example) ++d;
        shown_[demonstration_.size()] = d < targets.size();
        demonstration_.push_back(d);
    }
    if (targets.canvases().empty()) return; // there is nothing to draw on
    for (uint32_t rule = 0; rule < rules.size(); ++rule) {
        if (rules.type(rule) == Atom::Integer && colours_.size() < kMaxPartners) colours_.push_back(rule);
        if (rules.type(rule) == Atom::IntegerTuple && offsets_.size() < kMaxPartners) offsets_.push_back(rule);
    }
    for (bool under : {false, true}) {
        under_ = under;
        for (uint32_t rule = 0; rule < rules.size(); ++rule) add_patches(rule);
    }
    under_ = false;
    add_moved();
    add_copied();
    std::ranges::stable_sort(drawings_, {}, &Drawing::bits);
    if (drawings_.size() > kMaxDrawings) drawings_.resize(kMaxDrawings);
}

// Visits the cells of the output that a moved patch covers: row, column, and the patch's own colour.
template <class Visit>
void Drawings::each_shown(Value patch, size_t element, int by_i, int by_j, Visit visit) {
    size_t d = demonstration_[element];
    each_place(patch, [&](int i, int j, int own) {
        if (!targets_.wanted(d).holds(i += by_i, j += by_j)) return;
        if (!under_ || targets_.is_ground(d, i, j)) visit(d, i, j, own);
    });
}

void Drawings::add_patches(uint32_t rule) {
    const Atom type = rules_.type(rule);
    if (type != Atom::Indices && type != Atom::Object && type != Atom::FrozenSet) return;
    const size_t n = rules_.elements().size();
    std::vector<int> colour(n, kNone); // of the output, within the patch of each element
    Elements own_colours = shown_;     // elements whose patch has the colours of the output
    changing_.reset();
    unsigned to_fill = 0;              // colours, one bit each
    for (size_t e = 0; e < n; ++e) {
        if (!shown_[e]) continue;
        each_shown(rules_.value(rule, e), e, 0, 0, [&](size_t d, int i, int j, int own) {
            int right = targets_.wanted(d).at(i, j);
            if (own != right) own_colours.reset(e);
            colour[e] = colour[e] == kNone || colour[e] == right ? right : kMixed;
            if (targets_.is_new(d, i, j)) changing_.set(e);
        });
        if (changing_[e] && colour[e] >= 0) to_fill |= 1u << colour[e];
    }
    if (changing_.none()) return;
    const int bits = rules_.bits(rule);
    if (type == Atom::Object) {
        agreeing_ = own_colours;
        add({Drawing::How::Patch, rule, 0, nullptr, bits});
    }
    auto each_colour = [&](auto colour_of) {
        for (size_t e = 0; e < n; ++e)
            agreeing_[e] = shown_[e] && (colour[e] == kNone || colour[e] == colour_of(e));
    };
    bool one_for_all = false;
    for (int c = 0; c < kColours; ++c) {
        if (!(to_fill >> c & 1)) continue;
        each_colour([&](size_t) { return c; });
        one_for_all = one_for_all || agreeing_ == shown_;
        add({Drawing::How::Patch, rule, 0, nullptr, bits});
    }
    if (one_for_all) return;
    for (uint32_t c : colours_) {
        each_colour([&](size_t e) { return rules_.value(c, e).num; });
        add({Drawing::How::Recoloured, rule, c, nullptr, bits + rules_.bits(c) + recolour_bits_});
    }
}

// Adds the element to agreeing_, and to changing_, if an object moved by an offset agrees with its output,
// and changes the first canvas.
void Drawings::check_moved(Value object, size_t element, Value offset) {
    if (object.tag != Tag::Object) return;
    size_t d = demonstration_[element];
    GridView want = targets_.wanted(d);
    bool changes = false;
    for (uint32_t k = 0; k < object.object->n; ++k) {
        uint64_t key = object.object->keys[k];
        int i = key_i(uint32_t(key)) + offset.i(), j = key_j(uint32_t(key)) + offset.j();
        if (!want.holds(i, j)) continue;
        if (want.at(i, j) != key_value(key)) return;
        changes = changes || targets_.is_new(d, i, j);
    }
    agreeing_.set(element);
    changing_[element] = changes;
}

void Drawings::add_moved() {
    if (rules_.type(0) != Atom::Object) return;
    for (uint32_t offset : offsets_) {
        agreeing_.reset(), changing_.reset();
        for (size_t e = 0; e < rules_.elements().size(); ++e)
            if (shown_[e]) check_moved(rules_.value(0, e), e, rules_.value(offset, e));
        add({Drawing::How::Moved, 0, offset, nullptr, rules_.bits(offset) + shift_bits_});
    }
}

void Drawings::add_copied() {
    std::vector<Argument> objects = enumeration_.expressions_of_type(Atom::Object);
    if (objects.size() > kMaxPartners) objects.resize(kMaxPartners);
    for (const Argument& object : objects)
        for (uint32_t offset : offsets_) {
            agreeing_.reset(), changing_.reset();
            for (size_t e = 0; e < rules_.elements().size(); ++e)
                if (shown_[e])
                    check_moved(targets_.value(object, demonstration_[e]), e, rules_.value(offset, e));
            add({Drawing::How::Copied, object.index, offset, nullptr,
                 rules_.bits(offset) + enumeration_.bits_of(object) + shift_bits_});
        }
}

void Drawings::add(Drawing drawing) {
    if ((agreeing_ & changing_).none()) return;
    if (agreeing_ == shown_) return add_for(drawing, Elements().set());
    // Of the choices of only agreeing elements, the cheapest, and the one with most changing elements.
    const Choice *cheapest = nullptr, *largest = nullptr;
    size_t most_changing = 0;
    for (const Choice& choice : choices_) {
        Elements chosen = choice.elements & shown_;
        size_t changing = (chosen & changing_).count();
        if (!changing || (chosen & ~agreeing_).any()) continue;
        if (!cheapest) cheapest = &choice;
        if (changing > most_changing) largest = &choice, most_changing = changing;
    }
    if (!cheapest) return;
    auto add_chosen = [&](const Choice& choice) {
        int bits = drawing.bits + choice.bits + filter_bits_;
        add_for({drawing.how, drawing.patch, drawing.partner, &choice, bits}, choice.elements);
    };
    add_chosen(*cheapest);
    if (largest != cheapest) add_chosen(*largest);
}

void Drawings::add_for(Drawing drawing, const Elements& elements) {
    uint64_t hash = 0; // of the cells drawn, in any order
    for (size_t e = 0; e < rules_.elements().size(); ++e) {
        if (!elements[e]) continue;
        size_t example = rules_.elements()[e].example;
        bool moves = drawing.how == Drawing::How::Moved || drawing.how == Drawing::How::Copied;
        Value offset = moves ? rules_.value(drawing.partner, e) : Value::pair(pair_key(0, 0));
        Value patch = drawing.how == Drawing::How::Copied
                          ? enumeration_.value({Operand::Kind::Variable, drawing.patch}, example)
                          : rules_.value(drawing.patch, e);
        auto add_cell = [&](size_t, int i, int j, int) { hash += mix(example, pair_key(i, j)); };
        if (shown_[e]) each_shown(patch, e, offset.i(), offset.j(), add_cell);
        else
            each_place(patch,
                       [&](int i, int j, int own) { add_cell(0, i + offset.i(), j + offset.j(), own); });
    }
    keep_cheapest(known_, hash, drawings_, drawing);
}

// --- making expressions -----------------------------------------------------------------------------

class Maker {
  public:
    Maker(Enumeration& enumeration, Rules& rules, Argument container)
        : enumeration_(enumeration), rules_(rules), container_(container),
          container_bits_(enumeration.bits_of(container)) {}

    // Adds a choice to the enumeration: an element if there is one for each input, else a container.
    bool add(const Choice& choice);
    // Returns the patch of a drawing, as a last step.
    std::optional<Argument> patch(const Drawing& drawing);

  private:
    static Argument primitive(const char* name) {
        return {Operand::Kind::Primitive, uint32_t(find_primitive(name))};
    }
    std::optional<Argument> make(const char* name, std::initializer_list<Argument> arguments, int bits = 0) {
        return enumeration_.last_step(name, arguments, bits);
    }
    std::optional<Argument> predicate(const Choice& choice);
    std::optional<Argument> drawn(const Drawing& drawing); // a function of an element
    int filter_bits(const Choice& choice) const {
        return container_bits_ + choice.bits + enumeration_.call_bits("sfilter");
    }

    Enumeration& enumeration_;
    Rules& rules_;
    Argument container_;
    int container_bits_;
    std::unordered_map<const Choice*, std::optional<Argument>> filtered_;
};

std::optional<Argument> Maker::predicate(const Choice& choice) {
    auto f = rules_.function(choice.rule);
    if (f && choice.how != Chosen::True) {
        std::optional<Argument> value;
        if (choice.how == Chosen::Greatest) value = make("valmax", {container_, *f});
        else if (choice.how == Chosen::Least) value = make("valmin", {container_, *f});
        else if (auto all = make("totuple", {container_}))
            if (auto values = make("apply", {*f, *all}))
                value = make(choice.how == Chosen::Commonest ? "mostcommon" : "leastcommon", {*values});
        f = value ? make("matcher", {*f, *value}) : std::nullopt;
    }
    return f && choice.negated ? make("compose", {primitive("flip"), *f}) : f;
}

bool Maker::add(const Choice& choice) {
    if (!choice.single) {
        auto f = predicate(choice);
        auto filtered = f ? enumeration_.step("sfilter", {container_, *f}, filter_bits(choice)) : std::nullopt;
        if (filtered) filtered_[&choice] = filtered;
        return filtered.has_value();
    }
    bool is_extreme = !choice.negated && (choice.how == Chosen::Greatest || choice.how == Chosen::Least);
    const char* name = !is_extreme ? "extract" : choice.how == Chosen::Greatest ? "argmax" : "argmin";
    auto f = is_extreme ? rules_.function(choice.rule) : predicate(choice);
    int bits = container_bits_ + choice.bits + enumeration_.call_bits(name);
    return f && enumeration_.step(name, {container_, *f}, bits);
}

std::optional<Argument> Maker::drawn(const Drawing& drawing) {
    if (drawing.how == Drawing::How::Copied) {
        auto shifted = make("lbind", {primitive("shift"), {Operand::Kind::Variable, drawing.patch}});
        auto offset = rules_.function(drawing.partner);
        return shifted && offset ? make("compose", {*shifted, *offset}) : std::nullopt;
    }
    auto f = rules_.function(drawing.patch);
    if (!f || drawing.how == Drawing::How::Patch) return f;
    auto partner = rules_.function(drawing.partner);
    if (!partner) return std::nullopt;
    return drawing.how == Drawing::How::Moved ? make("fork", {primitive("shift"), *f, *partner})
                                              : make("fork", {primitive("recolor"), *partner, *f});
}

std::optional<Argument> Maker::patch(const Drawing& drawing) {
    std::optional<Argument> elements = container_;
    if (drawing.choice) {
        auto [known, is_new] = filtered_.try_emplace(drawing.choice);
        if (is_new)
            if (auto f = predicate(*drawing.choice))
                known->second = make("sfilter", {container_, *f}, filter_bits(*drawing.choice));
        elements = known->second;
    }
    if (!elements) return std::nullopt;
    int bits = container_bits_ + drawing.bits + enumeration_.call_bits("mapply");
    if (drawing.how == Drawing::How::Patch && drawing.patch == 0) return make("merge", {*elements}, bits);
    auto f = drawn(drawing);
    return f ? make("mapply", {*f, *elements}, bits) : std::nullopt;
}

} // namespace

std::span<const Argument> RuleSteps::find(const Targets& targets) {
    for (auto [type, max_valid] : kContainers) {
        size_t valid = 0;
        for (const Argument& container : enumeration_.expressions_of_type(type)) {
            if (valid == max_valid) break;
            auto [known, is_new] = is_valid_.try_emplace(container.index);
            if (is_new) known->second = find_for(container, targets);
            valid += known->second;
        }
    }
    return patches_;
}

bool RuleSteps::find_for(Argument container, const Targets& targets) {
    Rules rules(enumeration_, container);
    if (!rules.valid()) return false;
    rules.enumerate();
    Choices choices(rules);
    Drawings drawings(enumeration_, targets, rules, choices.in_order());
    rules.release();
    Maker maker(enumeration_, rules, container);
    size_t added = 0;
    for (const Choice& choice : choices.in_order())
        if (added < kMaxAdded) added += maker.add(choice);
    for (const Drawing& drawing : drawings.in_order())
        if (auto patch = maker.patch(drawing)) patches_.push_back(*patch);
    return true;
}

} // namespace codeit
