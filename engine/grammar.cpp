#include "grammar.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <unordered_set>

#include "primitives/table.hpp"

namespace codeit {

namespace {

// Once this many types are in use (about 10 MB), new states start with a new set of types, so that the
// memory of a long run stays bounded: closures nest without limit. Older states keep their set.
constexpr size_t kMaxTypes = 1 << 16;

void set(Mask& mask, int64_t token) { mask[size_t(token) / 64] |= uint64_t(1) << token % 64; }
bool any(const Mask& mask) {
    return std::any_of(mask.begin(), mask.end(), [](uint64_t word) { return word != 0; });
}

// Restricts `mask` to tokens of `other`. Returns false, and changes nothing, if none would be left.
bool restrict_to(Mask& mask, const Mask& other) {
    uint64_t common = 0;
    for (size_t k = 0; k < mask.size(); ++k) common |= mask[k] & other[k];
    if (!common) return false;
    for (size_t k = 0; k < mask.size(); ++k) mask[k] &= other[k];
    return true;
}

// Writes a byte of 0 or 1 for each of `n` bits.
void unpack(const Mask& mask, size_t n, uint8_t* out) {
    static const auto spread = [] {
        std::array<std::array<uint8_t, 8>, 256> table{};
        for (size_t byte = 0; byte < 256; ++byte)
            for (size_t k = 0; k < 8; ++k) table[byte][k] = byte >> k & 1;
        return table;
    }();
    for (size_t at = 0; at < n; at += 8) {
        size_t byte = mask[at / 64] >> at % 64 & 0xff;
        if (n - at >= 8) std::memcpy(out + at, spread[byte].data(), 8);
        else std::copy_n(spread[byte].data(), n - at, out + at);
    }
}

// The number N of a word such as callN or xN; 0 if it is another word.
int numbered(std::string_view word, std::string_view prefix) {
    if (!word.starts_with(prefix)) return 0;
    word.remove_prefix(prefix.size());
    int n = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), n);
    return error == std::errc() && end == word.data() + word.size() && n > 0 ? n : 0;
}

} // namespace

// --- Grammar ----------------------------------------------------------------------------------------

Grammar::Grammar(const std::vector<std::string>& words, int64_t pad, int64_t end, int64_t max_tokens,
                 bool typed)
    : pad_(pad), end_(end), max_tokens_(max_tokens), typed_(typed) {
    auto expect = [](bool holds, const std::string& what) {
        if (!holds) throw std::invalid_argument(what);
    };
    std::vector<std::pair<int, int>> variables; // number and token
    std::unordered_set<std::string> seen;
    for (const std::string& text : words) {
        auto token = int(words_.size());
        using enum Word::Kind;
        Word word{Other, 0, text};
        if (int n = numbered(text, "call"); n > 0 && n <= kMaxArguments) word.kind = Call, word.index = n;
        else if (int p = find_primitive(text); p >= 0) word.kind = Primitive, word.index = p;
        else if (int c = find_constant(text); c >= 0) word.kind = Constant, word.index = c;
        else if (int v = numbered(text, "x"); v > 0) word.kind = Variable, word.index = v - 1;
        else if (text == "I") word.kind = Input;
        if (word.kind == Variable) variables.emplace_back(word.index, token);
        if (word.kind == Primitive)
            primitives_.push_back(
                {token, primitives()[size_t(word.index)].arity, StaticTypes::slot(word.index, 0)});
        if (word.kind == Call) calls_.push_back(token);
        expect(seen.insert(text).second, "words: expected distinct words, found " + text + " twice");
        words_.push_back(std::move(word));
    }
    auto expect_token = [&](const char* name, int64_t token) {
        expect(token >= 0 && token < int64_t(size()) && words_[size_t(token)].kind == Word::Kind::Other,
               std::string(name) + ": expected the token of a word that programs do not use, found " +
                   std::to_string(token));
    };
    expect_token("pad", pad);
    expect_token("end", end);
    expect(max_tokens >= 0 && max_tokens <= INT32_MAX,
           "max_tokens: expected 0 to 2147483647, found " + std::to_string(max_tokens));
    std::sort(variables.begin(), variables.end());
    for (auto [index, token] : variables) {
        expect(index == int(variables_.size()),
               "words: expected x" + std::to_string(variables_.size() + 1) + ", found only x" +
                   std::to_string(index + 1));
        variables_.push_back(token);
    }

    Mask none((size() + 63) / 64);
    fixed_ = to_grid_ = none;
    set(to_grid_, end_);
    types_ = std::make_shared<StaticTypes>();
    for (int token = 0; token < int(size()); ++token) {
        const Word& word = words_[size_t(token)];
        if (is_head(token)) longest_ = std::max(longest_, tokens_needed(token));
        if (word.kind == Word::Kind::Primitive && signature(word.index).result == bit(Atom::Grid))
            set(to_grid_, token);
    }
    for (int left = 0; left <= longest_; ++left) {
        heads_within_.push_back(none);
        set(heads_within_.back(), end_);
        for (int token = 0; token < int(size()); ++token)
            if (is_head(token) && tokens_needed(token) <= left) set(heads_within_.back(), token);
    }
    fixed_by_slot_.assign(kMaxSlots, none);
    for (int token = 0; token < int(size()); ++token) {
        if (!is_fixed(token)) continue;
        const Slots& slots = types_->slots(type_of(*types_, words_[size_t(token)]));
        set(fixed_, token);
        always_filled_ |= slots;
        for (size_t slot = 0; slot < kMaxSlots; ++slot)
            if (slots[slot]) set(fixed_by_slot_[slot], token);
    }
}

bool Grammar::is_head(int token) const {
    auto kind = words_[size_t(token)].kind;
    return kind == Word::Kind::Primitive || kind == Word::Kind::Call;
}

bool Grammar::is_fixed(int token) const {
    auto kind = words_[size_t(token)].kind;
    return kind == Word::Kind::Primitive || kind == Word::Kind::Input || kind == Word::Kind::Constant;
}

int Grammar::tokens_needed(int head) const {
    const Word& word = words_[size_t(head)];
    return word.kind == Word::Kind::Call ? word.index + 3 : primitives()[size_t(word.index)].arity + 2;
}

TypeId Grammar::type_of(const StaticTypes& types, const Word& word) const {
    switch (word.kind) {
    case Word::Kind::Primitive: return types.primitive(word.index);
    case Word::Kind::Constant: return types.constant(word.index);
    default: return types.input();
    }
}

std::shared_ptr<StaticTypes> Grammar::types() {
    if (types_->size() > kMaxTypes) types_ = std::make_shared<StaticTypes>();
    return types_;
}

// --- PartialPrograms --------------------------------------------------------------------------------

PartialPrograms::PartialPrograms(std::shared_ptr<Grammar> grammar, size_t rows)
    : grammar_(std::move(grammar)), types_(grammar_->types()), rows_(rows) {}

PartialPrograms::PartialPrograms(const PartialPrograms& other, std::span<const int64_t> rows)
    : grammar_(other.grammar_), types_(other.types_) {
    rows_.reserve(rows.size());
    for (size_t k = 0; k < rows.size(); ++k) {
        if (rows[k] < 0 || rows[k] >= int64_t(other.size()))
            throw std::out_of_range("rows[" + std::to_string(k) + "]: expected a row below " +
                                    std::to_string(other.size()) + ", found " + std::to_string(rows[k]));
        rows_.push_back(other.rows_[size_t(rows[k])]);
    }
}

PartialPrograms PartialPrograms::select(std::span<const int64_t> rows) const { return {*this, rows}; }

void PartialPrograms::allowed(int64_t position, uint8_t* out) {
    const Grammar& g = *grammar_;
    int64_t left = std::max<int64_t>(g.max_tokens_ - position, 0);
    Mask mask((g.size() + 63) / 64);
    for (const Row& row : rows_) {
        std::fill(mask.begin(), mask.end(), 0);
        if (row.head >= 0) {
            argument_mask(row, mask);
        } else {
            head_mask(row, mask);
            if (left <= 2 * g.longest_) { // few tokens are left: the program must end, preferably in a grid
                if (!restrict_to(mask, g.heads_within_[size_t(std::min<int64_t>(left, g.longest_))])) {
                    std::fill(mask.begin(), mask.end(), 0);
                    set(mask, g.end_);
                } else if (g.typed_) {
                    restrict_to(mask, g.to_grid_);
                }
            }
        }
        unpack(mask, g.size(), out);
        out += g.size();
    }
}

void PartialPrograms::head_mask(const Row& row, Mask& mask) const {
    const Grammar& g = *grammar_;
    if (row.variables.size() <= g.variables_.size()) { // there is a variable for the result, or it is O
        Slots missing = ~(row.filled | g.always_filled_);
        for (const Grammar::Head& head : g.primitives_) {
            bool callable = true;
            for (size_t k = 0; g.typed_ && k < size_t(head.arity); ++k)
                callable &= !missing[head.first_slot + k];
            if (callable) set(mask, head.token);
        }
        for (int token : g.calls_)
            if (row.calls >> g.words_[size_t(token)].index & 1) set(mask, token);
    }
    if (!row.variables.empty() && (!g.typed_ || types_->may_be_grid(row.variables.back()) || !any(mask)))
        set(mask, g.end_);
}

void PartialPrograms::argument_mask(const Row& row, Mask& mask) const {
    const Grammar& g = *grammar_;
    const Grammar::Word& head = g.words_[size_t(row.head)];
    bool call = head.kind == Grammar::Word::Kind::Call, needs_function = call && row.n == 0;
    if (g.typed_) {
        std::span<const TypeId> earlier(row.arguments, row.n);
        auto admits = [&](TypeId candidate) {
            if (!call) return types_->fits(head.index, earlier, candidate);
            if (needs_function) return types_->callable_with(candidate, head.index);
            return types_->accepts(row.arguments[0], size_t(row.n) - 1, candidate);
        };
        if (!needs_function) {
            const Mask& candidates = call ? g.fixed_ : g.fixed_by_slot_[StaticTypes::slot(head.index, row.n)];
            if (!call && !StaticTypes::fits_depends(head.index, row.n)) {
                mask = candidates;
            } else {
                for (size_t k = 0; k < candidates.size(); ++k)
                    for (uint64_t bits = candidates[k]; bits; bits &= bits - 1) {
                        size_t token = k * 64 + size_t(std::countr_zero(bits));
                        if (admits(g.type_of(*types_, g.words_[token]))) set(mask, int64_t(token));
                    }
            }
        }
        for (size_t v = 0; v < row.variables.size(); ++v)
            if (admits(row.variables[v])) set(mask, g.variables_[v]);
        if (any(mask)) return;
    }
    if (!needs_function) mask = g.fixed_;
    for (size_t v = 0; v < row.variables.size(); ++v) set(mask, g.variables_[v]);
}

// Whether a token may follow, by the rules of syntax.
bool PartialPrograms::may_follow(const Row& row, int64_t token) const {
    const Grammar& g = *grammar_;
    if (token < 0 || token >= int64_t(g.size())) return false;
    const Grammar::Word& word = g.words_[size_t(token)];
    bool call = word.kind == Grammar::Word::Kind::Call;
    if (row.head < 0) {
        if (token == g.end_ || token == g.pad_) return true;
        return g.is_head(int(token)) && row.variables.size() <= g.variables_.size() &&
               !(call && row.variables.empty());
    }
    if (word.kind == Grammar::Word::Kind::Variable) return size_t(word.index) < row.variables.size();
    bool needs_function = g.words_[size_t(row.head)].kind == Grammar::Word::Kind::Call && row.n == 0;
    return !needs_function && g.is_fixed(int(token));
}

void PartialPrograms::advance(std::span<const int64_t> tokens) {
    const Grammar& g = *grammar_;
    if (tokens.size() != size())
        throw std::invalid_argument("tokens: expected one for each of " + std::to_string(size()) +
                                    " rows, found " + std::to_string(tokens.size()));
    for (size_t k = 0; k < size(); ++k)
        if (!may_follow(rows_[k], tokens[k])) {
            auto text = [&](int64_t token) { return g.words_[size_t(token)].text; };
            int head = rows_[k].head;
            bool known = tokens[k] >= 0 && tokens[k] < int64_t(g.size());
            throw std::invalid_argument(
                "tokens[" + std::to_string(k) + "]: expected " +
                (head < 0 ? "the first word of a line, or the end" : "an argument of " + text(head)) +
                ", found " + std::to_string(tokens[k]) + (known ? " (" + text(tokens[k]) + ")" : ""));
        }
    for (size_t k = 0; k < size(); ++k) advance(rows_[k], int(tokens[k]));
}

void PartialPrograms::advance(Row& row, int token) {
    const Grammar& g = *grammar_;
    const Grammar::Word& word = g.words_[size_t(token)];
    if (row.head < 0) {
        if (g.is_head(token)) row.head = token;
        return;
    }
    bool variable = word.kind == Grammar::Word::Kind::Variable;
    row.arguments[row.n++] = variable ? row.variables[size_t(word.index)] : g.type_of(*types_, word);
    if (row.n + 2 < g.tokens_needed(row.head)) return;
    const Grammar::Word& head = g.words_[size_t(row.head)];
    std::span<const TypeId> arguments(row.arguments, row.n);
    TypeId result = types_->unknown(); // types do not matter if they are not checked
    if (g.typed_) {
        bool call = head.kind == Grammar::Word::Kind::Call;
        result = call ? types_->applied(arguments[0], arguments.subspan(1))
                    : types_->result(head.index, arguments);
        row.filled |= types_->slots(result);
    }
    for (int n = 1; n <= kMaxArguments; ++n)
        if (!g.typed_ || types_->callable_with(result, n)) row.calls |= uint8_t(1 << n);
    row.variables.push_back(result);
    row.head = -1;
    row.n = 0;
}

} // namespace codeit
