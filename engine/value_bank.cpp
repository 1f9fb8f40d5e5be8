#include "value_bank.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "calls.hpp"
#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr double kNear = 0.8;

size_t words(size_t cells) { return (cells + 63) / 64; }

uint64_t hash_line(const Line& line) {
    uint64_t hash = line.n;
    each_operand(line, [&](Operand o) { hash = mix(hash, uint64_t(o.kind) << 16 | o.index); });
    return hash;
}

// Calls `visit` with the key of each place of a value, and with its colour, or -1. Returns false if
// the value has no places: if it is not a patch, or a set or a tuple of patches.
template <class Visit> bool each_place(Value v, Visit visit, bool nested = false) {
    switch (v.tag) {
    case Tag::Indices:
        for (uint32_t k = 0; k < v.indices->n; ++k) visit(v.indices->keys[k], -1);
        return true;
    case Tag::Object:
        for (uint32_t k = 0; k < v.object->n; ++k)
            visit(uint32_t(v.object->keys[k]), key_value(v.object->keys[k]));
        return true;
    case Tag::Set:
    case Tag::Tuple:
        if (nested) return false;
        for (uint32_t k = 0; k < v.items->n; ++k)
            if (!each_place(v.items->items[k], visit, true)) return false;
        return v.tag == Tag::Set || v.items->n > 0; // the empty set has no places; the empty tuple is no set
    default: return false;
    }
}

bool has_colours(Value v) {
    if (v.tag == Tag::Object) return true;
    bool container = v.tag == Tag::Set || v.tag == Tag::Tuple;
    return container && v.items->n > 0 && v.items->items[0].tag == Tag::Object;
}

} // namespace

const char* name(Aspect aspect) {
    static constexpr const char* names[kAspects] = {"cells", "painted", "grid",  "crop", "to",
                                                    "from",  "height",  "width", "shape"};
    return names[int(aspect)];
}

const char* name(Relation relation) {
    static constexpr const char* names[kRelations] = {"equal", "near", "within", "around", "closer", "alike"};
    return names[int(relation)];
}

// --- computing values -------------------------------------------------------------------------------

ValueBank::ValueBank(std::span<const ProgramRef> programs) {
    std::unordered_multimap<uint64_t, uint16_t> known;
    for (const ProgramRef& program : programs) {
        std::vector<uint16_t> place; // of each line of the program in the bank
        for (Line line : program->lines) {
            each_operand(line, [&](Operand& o) {
                if (o.kind == Operand::Kind::Variable) o.index = place[o.index];
            });
            uint64_t hash = hash_line(line);
            auto [begin, end] = known.equal_range(hash);
            auto same = std::find_if(begin, end, [&](auto& one) { return lines_[one.second].same_call(line); });
            if (same != end) {
                place.push_back(same->second);
                continue;
            }
            if (lines_.size() == kMaxExpressions) throw std::length_error("too many expressions");
            auto index = uint16_t(lines_.size());
            std::set<uint16_t> needed{index};
            each_operand(line, [&](Operand o) {
                if (o.kind == Operand::Kind::Variable) needed.insert(needed_[o.index].begin(), needed_[o.index].end());
            });
            needed_.emplace_back(needed.begin(), needed.end());
            lines_.push_back(std::move(line));
            known.emplace(hash, index);
            place.push_back(index);
        }
    }
    order_.resize(lines_.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::ranges::stable_sort(order_, {}, [&](uint32_t k) { return needed_[k].size(); });
}

ProgramRef ValueBank::program(size_t expression) const {
    std::vector<Line> some;
    std::unordered_map<uint16_t, uint16_t> place;
    for (uint16_t k : needed_[expression]) {
        Line line = lines_[k];
        each_operand(line, [&](Operand& o) {
            if (o.kind == Operand::Kind::Variable) o.index = place.at(o.index);
        });
        place.emplace(k, uint16_t(some.size()));
        some.push_back(std::move(line));
    }
    return assemble(some, some.size() - 1, kMaxLines);
}

std::shared_ptr<const TaskValues> ValueBank::values(std::span<const GridRef> inputs, Budget budget) const {
    static thread_local Run run;
    auto made = std::make_shared<TaskValues>();
    made->inputs_.assign(inputs.begin(), inputs.end());
    size_t n = inputs.size();
    std::vector<TaskValues::Part> parts(lines_.size() * n);
    std::vector<bool> failed(lines_.size());
    std::vector<uint64_t> bits;
    std::vector<int8_t> cells;
    for (size_t k = 0; k < n; ++k) {
        run.start({uint64_t(INT64_MAX), budget.cells});
        Value input;
        try {
            input = input_value(run, *inputs[k]);
        } catch (const Fault&) { // the input alone exceeds the budget
            return std::make_shared<TaskValues>();
        }
        std::vector<Value> results(lines_.size());
        for (size_t e = 0; e < lines_.size(); ++e) {
            const Line& line = lines_[e];
            auto value = [&](Operand o) {
                switch (o.kind) {
                case Operand::Kind::Input: return input;
                case Operand::Kind::Variable: return results[o.index];
                case Operand::Kind::Primitive: return primitive_function(o.index);
                default: return constants()[o.index].value;
                }
            };
            bool lacks = failed[e];
            each_operand(line, [&](Operand o) {
                lacks = lacks || (o.kind == Operand::Kind::Variable && failed[o.index]);
            });
            failed[e] = lacks;
            if (lacks) continue;
            Value arguments[kMaxArguments];
            for (int a = 0; a < line.n; ++a) arguments[a] = value(line.arguments[a]);
            auto mark = run.mark();
            run.steps_left = int64_t(std::min<uint64_t>(budget.steps, INT64_MAX));
            run.depth = 0;
            try {
                results[e] = call(run, value(line.function), arguments, line.n);
            } catch (const Fault&) {
                run.release(mark);
                failed[e] = true;
                continue;
            }
            parts[e * n + k] = made->part(results[e], *inputs[k], bits, cells);
        }
    }
    // Of expressions with equal values, the one with fewest lines is kept.
    using Kind = TaskValues::Kind;
    std::unordered_set<uint64_t> seen;
    for (uint32_t e : order_) {
        const TaskValues::Part* of = &parts[e * n];
        if (failed[e]) continue;
        // An empty set of objects is a set of places.
        Kind kind = of[0].kind;
        auto places = [](Kind one) { return one == Kind::Cells || one == Kind::Object; };
        bool consistent = kind != Kind::None, empty = true;
        uint64_t hash = 0;
        for (size_t k = 0; k < n; ++k) {
            if (of[k].kind != kind) {
                consistent = consistent && places(of[k].kind) && places(kind);
                kind = Kind::Object;
            }
            empty = empty && of[k].n == 0;
            hash = mix(hash, of[k].hash);
        }
        if (!consistent || (places(kind) && empty) || !seen.insert(hash).second) continue;
        made->entries_.push_back({e, uint32_t(needed_[e].size()), kind});
        for (size_t k = 0; k < n; ++k) {
            TaskValues::Part part = of[k];
            size_t area = inputs[k]->area(), size = part.kind == Kind::Grid ? part.height * part.width : part.n;
            if (places(part.kind)) {
                part.bits = uint32_t(made->bits_.size());
                made->bits_.insert(made->bits_.end(), &bits[of[k].bits], &bits[of[k].bits] + words(area));
            }
            if (part.kind == Kind::Object || part.kind == Kind::Grid) {
                part.cells = uint32_t(made->cells_.size());
                made->cells_.insert(made->cells_.end(), cells.begin() + of[k].cells, cells.begin() + of[k].cells + size);
            }
            made->parts_.push_back(part);
        }
    }
    made->bits_.shrink_to_fit();
    made->cells_.shrink_to_fit();
    made->parts_.shrink_to_fit();
    return made;
}

TaskValues::Part TaskValues::part(Value v, const Grid& input, std::vector<uint64_t>& bits,
                                  std::vector<int8_t>& cells) const {
    Part part;
    part.cells = uint32_t(cells.size());
    part.bits = uint32_t(bits.size());
    switch (v.tag) {
    case Tag::Int:
        part.kind = Kind::Integer;
        part.number = v.num;
        part.hash = mix(uint64_t(Kind::Integer), uint64_t(v.num));
        return part;
    case Tag::Pair:
        part.kind = Kind::Pair;
        part.number = v.i();
        part.second = v.j();
        part.hash = mix(uint64_t(Kind::Pair), v.key);
        return part;
    case Tag::Grid: {
        GridView g = grid(v);
        if (g.h > kMaxSide || g.w > kMaxSide || g.w == 0) return part;
        part.kind = Kind::Grid;
        part.height = g.h;
        part.width = g.w;
        part.n = uint32_t(g.area());
        cells.insert(cells.end(), g.cells, g.cells + g.area());
        part.hash = hash_bytes(mix(uint64_t(Kind::Grid), uint64_t(g.w)), g.cells, g.area());
        return part;
    }
    default: break;
    }
    // Colours by place; of several at one place the first counts.
    bool coloured = has_colours(v);
    int8_t colours[kMaxSide * kMaxSide];
    bits.resize(bits.size() + words(input.area()));
    uint64_t* set = &bits[part.bits];
    int bottom = -1, right = -1;
    part.top = part.left = kMaxSide;
    bool are_places = each_place(v, [&](uint32_t key, int colour) {
        int i = key_i(key), j = key_j(key);
        if (i < 0 || j < 0 || i >= input.height() || j >= input.width()) {
            part.outside = true;
            return;
        }
        auto at = uint32_t(i * input.width() + j);
        if (set[at / 64] >> (at % 64) & 1) return;
        set[at / 64] |= uint64_t(1) << (at % 64);
        colours[at] = int8_t(colour);
        ++part.n;
        part.top = std::min(part.top, i);
        part.left = std::min(part.left, j);
        bottom = std::max(bottom, i);
        right = std::max(right, j);
    });
    if (!are_places) {
        bits.resize(part.bits);
        return part;
    }
    part.height = part.n ? bottom - part.top + 1 : 0;
    part.width = part.n ? right - part.left + 1 : 0;
    part.kind = coloured ? Kind::Object : Kind::Cells;
    part.hash = hash_bytes(mix(uint64_t(part.kind), part.outside), set, words(input.area()) * sizeof *set);
    if (coloured) {
        for (size_t at = 0; at < input.area(); ++at)
            if (set[at / 64] >> (at % 64) & 1) cells.push_back(colours[at]);
        part.hash = hash_bytes(part.hash, cells.data() + part.cells, part.n);
    }
    return part;
}

// --- comparing them with outputs --------------------------------------------------------------------

// Scores the values of expressions against the outputs of one task.
class TaskValues::Scorer {
  public:
    Scorer(const TaskValues& values, std::span<const GridRef> outputs, std::vector<Match>& found)
        : values_(values), outputs_(outputs), found_(found), n_(outputs.size()) {
        same_shape_ = true;
        for (size_t k = 0; k < n_; ++k)
            same_shape_ = same_shape_ && outputs[k]->height() == input(k).height() &&
                          outputs[k]->width() == input(k).width();
        if (same_shape_) find_changes();
    }

    void score(const Entry& entry, const Part* parts) {
        entry_ = &entry;
        parts_ = parts;
        switch (entry.kind) {
        case Kind::Cells:
        case Kind::Object:
            if (!same_shape_) {
                score_grid(Aspect::Crop);
                return;
            }
            for (size_t t = 0; t < targets_.size(); ++t) score_cells(t);
            if (entry.kind == Kind::Object) score_against_input(Aspect::Painted);
            return;
        case Kind::Grid:
            if (same_shape_) score_against_input(Aspect::Grid);
            else score_grid(Aspect::Grid);
            return;
        case Kind::Integer:
            if (same_shape_) {
                score_number(Aspect::To, [&](size_t k) { return to_[k]; });
                score_number(Aspect::From, [&](size_t k) { return from_[k]; });
            } else {
                score_number(Aspect::Height, [&](size_t k) { return outputs_[k]->height(); });
                score_number(Aspect::Width, [&](size_t k) { return outputs_[k]->width(); });
            }
            return;
        case Kind::Pair:
            if (!same_shape_)
                score_exact(Aspect::Shape, [&](size_t k) {
                    return parts_[k].number == outputs_[k]->height() && parts_[k].second == outputs_[k]->width();
                }, 0.3);
            return;
        case Kind::None: return;
        }
    }

  private:
    // Cells that change: all of them, or those that become one colour.
    struct Target {
        int8_t colour; // -1: all
        std::vector<std::vector<uint64_t>> bits;
        std::vector<uint32_t> n;
    };

    const Grid& input(size_t k) const { return *values_.inputs_[k]; }

    void find_changes() {
        std::vector<uint32_t> colours(kColours); // the number of inputs on which cells become it
        targets_.push_back({-1, {}, {}});
        for (int c = 0; c < kColours; ++c) targets_.push_back({int8_t(c), {}, {}});
        for (size_t k = 0; k < n_; ++k) {
            const int8_t *before = input(k).cells(), *after = outputs_[k]->cells();
            for (Target& target : targets_) {
                target.bits.emplace_back(words(input(k).area()));
                target.n.push_back(0);
            }
            int to = -1, from = -1; // -2 for several
            for (size_t at = 0; at < input(k).area(); ++at) {
                if (before[at] == after[at]) continue;
                to = to == -1 || to == after[at] ? after[at] : -2;
                from = from == -1 || from == before[at] ? before[at] : -2;
                for (size_t t : {size_t(0), size_t(after[at]) + 1}) {
                    targets_[t].bits[k][at / 64] |= uint64_t(1) << (at % 64);
                    ++targets_[t].n[k];
                }
            }
            to_.push_back(to);
            from_.push_back(from);
        }
        // A colour is of interest if it is one of several, and cells become it on all inputs.
        std::vector<Target> kept;
        for (size_t t = 1; t < targets_.size(); ++t)
            if (std::ranges::none_of(targets_[t].n, [](uint32_t n) { return n == 0; }) && targets_[t].n != targets_[0].n)
                kept.push_back(std::move(targets_[t]));
        targets_.resize(1);
        for (Target& target : kept) targets_.push_back(std::move(target));
    }

    void add(Aspect aspect, Relation relation, int8_t colour, bool but_one, double score) {
        found_.push_back({entry_->expression, aspect, relation, colour, but_one, score - 0.01 * entry_->lines});
    }
    // Equal on all inputs, or on all but one of three or more; then adds the match.
    bool add_equal(Aspect aspect, size_t equal, int8_t colour, double score) {
        if (equal == n_) add(aspect, Relation::Equal, colour, false, score + 2);
        else if (n_ >= 3 && equal == n_ - 1) add(aspect, Relation::Equal, colour, true, score + 1);
        else return false;
        return true;
    }
    template <class Holds> void score_exact(Aspect aspect, Holds holds, double score) {
        for (size_t k = 0; k < n_; ++k)
            if (!holds(k)) return;
        add(aspect, Relation::Equal, -1, false, score);
    }
    template <class Wanted> void score_number(Aspect aspect, Wanted wanted) {
        score_exact(aspect, [&](size_t k) { return parts_[k].number == wanted(k); }, 0.3);
    }

    void score_cells(size_t t) {
        const Target& target = targets_[t];
        size_t equal = 0;
        double sum = 0, least = 1;
        bool within = true, around = true;
        for (size_t k = 0; k < n_; ++k) {
            const uint64_t *a = &values_.bits_[parts_[k].bits], *b = target.bits[k].data();
            size_t common = 0;
            for (size_t w = 0; w < target.bits[k].size(); ++w) common += size_t(std::popcount(a[w] & b[w]));
            size_t all = parts_[k].n + target.n[k] - common;
            double share = all ? double(common) / double(all) : 1;
            equal += common == all;
            within = within && common == parts_[k].n;
            around = around && common == target.n[k];
            sum += share;
            least = std::min(least, share);
        }
        double mean = sum / double(n_);
        if (mean < kLeast || add_equal(Aspect::Cells, equal, target.colour, mean)) return;
        Relation relation = least >= kNear ? Relation::Near : within ? Relation::Within
                            : around ? Relation::Around : Relation::Alike;
        add(Aspect::Cells, relation, target.colour, false, mean);
    }

    // Compares a grid, or the input with an object painted on it, with an output of the input's shape.
    void score_against_input(Aspect aspect) {
        size_t equal = 0;
        double sum = 0;
        for (size_t k = 0; k < n_; ++k) {
            const int8_t *before = input(k).cells(), *after = outputs_[k]->cells();
            const int8_t* cells = &values_.cells_[0] + parts_[k].cells;
            size_t area = input(k).area(), wrong = targets_[0].n[k];
            if (aspect == Aspect::Grid) {
                if (parts_[k].height != input(k).height() || parts_[k].width != input(k).width()) return;
                wrong = 0;
                for (size_t at = 0; at < area; ++at) wrong += cells[at] != after[at];
            } else {
                const uint64_t* bits = &values_.bits_[parts_[k].bits];
                for (size_t w = 0; w < words(area); ++w)
                    for (uint64_t left = bits[w]; left; left &= left - 1) {
                        size_t at = w * 64 + size_t(std::countr_zero(left));
                        bool was = before[at] == after[at], is = *cells++ == after[at];
                        wrong = wrong + was - is;
                    }
            }
            equal += wrong == 0;
            sum += targets_[0].n[k] ? 1 - double(wrong) / targets_[0].n[k] : wrong == 0;
        }
        double mean = sum / double(n_);
        if (mean <= 0 || add_equal(aspect, equal, -1, mean)) return;
        if (mean >= kLeastGain) add(aspect, mean >= kNear ? Relation::Near : Relation::Closer, -1, false, mean);
    }

    // Compares a grid, or the rectangle of the input around a set, with an output of another shape.
    void score_grid(Aspect aspect) {
        size_t equal = 0, shaped = 0;
        double sum = 0;
        for (size_t k = 0; k < n_; ++k) {
            const Part& part = parts_[k];
            if (part.height != outputs_[k]->height() || part.width != outputs_[k]->width()) continue;
            const int8_t* after = outputs_[k]->cells();
            size_t right = 0;
            for (int i = 0; i < part.height; ++i) {
                const int8_t* row = aspect == Aspect::Grid
                                        ? &values_.cells_[part.cells] + i * part.width
                                        : input(k).cells() + (part.top + i) * input(k).width() + part.left;
                for (int j = 0; j < part.width; ++j) right += row[j] == *after++;
            }
            ++shaped;
            equal += right == outputs_[k]->area();
            sum += double(right) / double(outputs_[k]->area());
        }
        double mean = sum / double(n_);
        if (add_equal(aspect, equal, -1, mean) || shaped < n_) return;
        add(aspect, mean >= kNear ? Relation::Near : Relation::Alike, -1, false, mean);
    }

    static constexpr double kLeast = 0.25, kLeastGain = 0.1;

    const TaskValues& values_;
    std::span<const GridRef> outputs_;
    std::vector<Match>& found_;
    size_t n_;
    bool same_shape_;
    std::vector<Target> targets_;
    std::vector<int> to_, from_;
    const Entry* entry_ = nullptr;
    const Part* parts_ = nullptr;
};

std::vector<Match> TaskValues::matches(std::span<const GridRef> outputs, size_t most) const {
    std::vector<Match> found;
    if (entries_.empty()) return found;
    Scorer scorer(*this, outputs, found);
    for (size_t e = 0; e < entries_.size(); ++e) scorer.score(entries_[e], &parts_[e * inputs_.size()]);
    std::ranges::stable_sort(found, std::ranges::greater{}, &Match::score);
    size_t of_aspect[kAspects]{};
    std::vector<Match> best;
    for (const Match& match : found) {
        if (best.size() == most) break;
        if (++of_aspect[int(match.aspect)] <= (most + 1) / 2) best.push_back(match);
    }
    return best;
}

} // namespace codeit
