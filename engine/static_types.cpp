#include "static_types.hpp"

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

using enum Atom;

constexpr Atoms atoms(std::initializer_list<Atom> list) {
    Atoms set = 0;
    for (Atom a : list) set |= bit(a);
    return set;
}

constexpr Atoms kTuples = atoms({IntegerTuple, Cell, Grid, Tuple, TupleTuple});
constexpr Atoms kSets = atoms({Indices, Object, Objects, IndicesSet, IntegerSet, FrozenSet});
constexpr Atoms kContainers = kTuples | kSets;
constexpr Atoms kAll = atoms({Boolean, Integer, Callable}) | kContainers;
// A value of unknown origin. Functions are left out, as containers rarely hold them.
constexpr Atoms kAllButCallable = kAll & ~bit(Callable);
constexpr Atoms kNumerical = atoms({Integer, IntegerTuple});
constexpr Atoms kPatch = atoms({Object, Indices});
constexpr Atoms kContainerContainer = atoms({Grid, TupleTuple, Objects, IndicesSet});

// The atoms of the elements of a container, where its own atom determines them; else 0.
constexpr Atoms elements_of(Atom container) {
    switch (container) {
    case Grid: return atoms({Tuple, IntegerTuple});
    case Objects: return bit(Object);
    case IndicesSet: return bit(Indices);
    case Indices: return bit(IntegerTuple);
    case Object: return bit(Cell);
    case IntegerSet:
    case IntegerTuple: return bit(Integer);
    case Cell: return atoms({Integer, IntegerTuple});
    default: return 0;
    }
}

// The atom of a set by the atom of its elements.
constexpr Atom set_of(Atom member) {
    switch (member) {
    case IntegerTuple: return Indices;
    case Cell: return Object;
    case Object: return Objects;
    case Indices: return IndicesSet;
    case Integer:
    case Boolean: return IntegerSet;
    default: return FrozenSet;
    }
}

// Calls `visit` with each atom of a set.
template <class Visit> void each(Atoms set, Visit visit) {
    for (int a = 0; a < kAtoms; ++a)
        if (has(set, Atom(a))) visit(Atom(a));
}

Atoms set_of(Atoms members) {
    Atoms kinds = 0;
    each(members, [&](Atom member) { kinds |= bit(set_of(member)); });
    return kinds;
}

Atoms tuple_of(Atoms members) {
    Atoms kinds = 0;
    if (members & kTuples) kinds |= atoms({TupleTuple, Grid});
    if (members & ~kTuples) kinds |= bit(Tuple);
    if (has(members, Integer)) kinds |= bit(IntegerTuple);
    return kinds;
}

// The atoms of a tuple of two values.
Atoms pair_of(Atoms first, Atoms second) {
    Atoms kinds = 0;
    each(first, [&](Atom a) {
        each(second, [&](Atom b) {
            if (a == Integer && b == Integer) kinds |= bit(IntegerTuple);
            else if (a == Integer && b == IntegerTuple) kinds |= bit(Cell);
            else if (has(kTuples, a) && has(kTuples, b)) kinds |= atoms({TupleTuple, Grid});
            else kinds |= bit(Tuple);
        });
    });
    return kinds;
}

// --- What is known about primitives -----------------------------------------------------------------

// How the type of a call follows from those of its arguments. From Apply on, the rule also decides
// which arguments fit.
enum class Rule : uint8_t {
    Declared,         // as in the signature
    Same,             // that of argument `same`
    ElementOfFirst,   // an element of the first argument
    Numerical,        // element by element if an argument is a pair
    Merged, Integer, TupleOfElements, TupleOfFirst, SetOfFirst, Product, Pair, PairOfArguments, Grids, Branch,
    BestValue, Apply, Mapply, Papply, Mpapply, Prapply, // these call their function
    Compose, Chain, Matcher, Power, Rbind, Lbind, Fork, // these make a function
};

// What a second argument must have in common with the first.
enum class Second : uint8_t {
    Any,
    Kind,      // both are sets, or tuples of a common atom
    Member,    // it may contain the first
    Key,       // it maps an element of the first to a sort key, …
    Condition, // … or to a truth value
};

struct Facts {
    Rule rule = Rule::Declared;
    Second second = Second::Any;
    uint8_t same = 0;
    int arity = 0;
    size_t first_slot = 0;
    Atoms declared = 0;              // of the result
    Atoms parameters[kMaxArguments]; // the atoms that each parameter admits
    Atoms signature[kMaxArguments];  // the same, as declared
    // Parameters that take a function: how many arguments it has. 0 if any number does.
    int8_t function_of[kMaxArguments]{};
};

// A fact and the primitives of which it holds.
template <class Fact> struct Named {
    Fact fact;
    std::initializer_list<const char*> primitives;
};

const Named<Rule> kRules[] = {
    {Rule::ElementOfFirst,
     {"first", "last", "argmax", "argmin", "extract", "mostcommon", "leastcommon", "other"}},
    {Rule::Numerical,
     {"add", "subtract", "multiply", "divide", "invert", "double", "halve", "increment", "decrement",
      "crement", "sign"}},
    {Rule::Merged, {"merge", "mfilter"}},
    {Rule::Integer, {"numcolors"}}, // the oracle's signature says IntegerSet
    {Rule::TupleOfElements, {"order", "totuple"}},
    {Rule::TupleOfFirst, {"repeat"}},
    {Rule::SetOfFirst, {"initset"}},
    {Rule::Product, {"product"}},
    {Rule::Pair, {"pair"}},
    {Rule::PairOfArguments, {"astuple"}},
    {Rule::Grids, {"hsplit", "vsplit"}},
    {Rule::Branch, {"branch"}},
    {Rule::BestValue, {"valmax", "valmin"}},
    {Rule::Apply, {"apply"}},
    {Rule::Mapply, {"mapply"}},
    {Rule::Papply, {"papply"}},
    {Rule::Mpapply, {"mpapply"}},
    {Rule::Prapply, {"prapply"}},
    {Rule::Compose, {"compose"}},
    {Rule::Chain, {"chain"}},
    {Rule::Matcher, {"matcher"}},
    {Rule::Power, {"power"}},
    {Rule::Rbind, {"rbind"}},
    {Rule::Lbind, {"lbind"}},
    {Rule::Fork, {"fork"}},
};

struct Parameter {
    const char* primitive;
    uint8_t index;
};

// Primitives that return the type of an argument, and the index of this argument.
const Parameter kSame[] = {
    {"identity", 0}, {"normalize", 0},    {"shift", 0},   {"sfilter", 0},    {"remove", 1},  {"insert", 1},
    {"dedupe", 0},   {"upscale", 0},      {"combine", 0}, {"difference", 0}, {"hmirror", 0}, {"vmirror", 0},
    {"dmirror", 0},  {"intersection", 0}, {"cmirror", 0}, {"sizefilter", 0},
};

// Parameters that take a function of one argument, and of two.
const Parameter kUnary[] = {
    {"compose", 0}, {"compose", 1}, {"chain", 0},   {"chain", 1},   {"chain", 2},
    {"fork", 1},    {"fork", 2},    {"matcher", 0}, {"power", 0},   {"apply", 0},
    {"mapply", 0},  {"order", 1},   {"valmax", 1},  {"valmin", 1},  {"argmax", 1},
    {"argmin", 1},  {"sfilter", 1}, {"mfilter", 1}, {"extract", 1},
};
const Parameter kBinary[] = {{"fork", 0}, {"papply", 0}, {"mpapply", 0}, {"prapply", 0}};

const Named<Second> kSeconds[] = {
    {Second::Kind, {"combine", "difference", "intersection"}},
    {Second::Member, {"contained"}},
    {Second::Key, {"order", "valmax", "valmin", "argmax", "argmin"}},
    {Second::Condition, {"sfilter", "mfilter", "extract"}},
};

// Parameters that take more than the signatures of the reference language say, because the experts
// use it: tuples of places and the empty set serve as patches, any container is searched for its
// greatest element, and a number serves as a truth value.
Atoms widened(Atoms declared) {
    constexpr Atoms tuples_as_patches = atoms({FrozenSet, TupleTuple, Grid});
    switch (declared) {
    case kPatch:
    case bit(Object): return declared | tuples_as_patches;
    case bit(IntegerSet): return kContainers;
    case bit(Boolean): return atoms({Boolean, Integer});
    case kContainerContainer: return kContainers & ~atoms({Cell, IntegerTuple, IntegerSet});
    case atoms({Tuple, TupleTuple}): return kTuples;
    case bit(Objects): return atoms({Objects, FrozenSet, Tuple, TupleTuple});
    case kNumerical: return kNumerical | bit(Boolean);
    default: return declared;
    }
}

// Primitives whose parameters all take anything: a pair may hold anything, not only numbers; anything
// serves as a truth value; toivec and tojvec only put the value into a pair.
const char* const kTakesAnything[] = {"astuple", "branch", "toivec", "tojvec"};

const std::vector<Facts>& table() {
    static const std::vector<Facts> facts_by_primitive = [] {
        std::vector<Facts> all(primitives().size());
        size_t slots = 0;
        for (size_t p = 0; p < all.size(); ++p) {
            Facts& f = all[p];
            const Signature& s = signature(int(p));
            f.arity = primitives()[p].arity;
            f.first_slot = slots;
            slots += size_t(f.arity);
            f.declared = s.result == kAll ? kAllButCallable : s.result;
            for (int k = 0; k < kMaxArguments; ++k) {
                f.signature[k] = s.parameters[k];
                f.parameters[k] = widened(s.parameters[k]);
            }
        }
        if (slots > kMaxSlots)
            throw std::logic_error("static types: kMaxSlots is below " + std::to_string(slots));
        auto facts = [&](const char* name) -> Facts& {
            int p = find_primitive(name);
            if (p < 0) throw std::logic_error("static types: no primitive " + std::string(name));
            return all[size_t(p)];
        };
        for (const auto& named : kRules)
            for (const char* name : named.primitives) facts(name).rule = named.fact;
        for (const Parameter& p : kSame) {
            facts(p.primitive).rule = Rule::Same;
            facts(p.primitive).same = p.index;
        }
        for (const Parameter& p : kUnary) facts(p.primitive).function_of[p.index] = 1;
        for (const Parameter& p : kBinary) facts(p.primitive).function_of[p.index] = 2;
        for (const auto& named : kSeconds)
            for (const char* name : named.primitives) facts(name).second = named.fact;
        for (const char* name : kTakesAnything)
            std::fill_n(facts(name).parameters, facts(name).arity, kAll);
        return all;
    }();
    return facts_by_primitive;
}

const Facts& facts_of(int primitive) { return table()[size_t(primitive)]; }

FunctionParameters make_parameters(const Atoms* admitted, int n) {
    FunctionParameters parameters;
    parameters.n = int8_t(n);
    std::copy_n(admitted, n, parameters.admitted);
    return parameters;
}

// The parameters of a function, or `n` that admit anything if they are unknown.
FunctionParameters known_parameters(const StaticType& function, int n) {
    static constexpr Atoms anything[] = {kAll, kAll};
    return function.parameters.n < 0 ? make_parameters(anything, n) : function.parameters;
}

uint64_t hash_of(const StaticType& t) {
    uint64_t hash = mix(t.kinds, uint64_t(t.elements) << 32 | uint32_t(t.parameters.n));
    for (int k = 0; k < t.parameters.n; ++k) hash = mix(hash, t.parameters.admitted[k]);
    hash = mix(hash, uint64_t(uint16_t(t.maker)) << 8 | t.captured_n);
    for (int k = 0; k < t.captured_n; ++k) hash = mix(hash, t.captured[k]);
    return hash;
}

constexpr TypeId kNone = UINT32_MAX;

} // namespace

// --- Types ------------------------------------------------------------------------------------------

StaticTypes::StaticTypes() : index_(1024, kNone) {
    unknown_ = of(kAllButCallable);
    input_ = of(bit(Grid));
    for (const Constant& c : codeit::constants()) constants_.push_back(of(bit(atom(c.value))));
    for (int p = 0; p < int(codeit::primitives().size()); ++p)
        primitives_.push_back(function(make_parameters(facts_of(p).parameters, facts_of(p).arity), p, {}));
}

TypeId StaticTypes::intern(const StaticType& type) {
    size_t mask = index_.size() - 1, at = hash_of(type) & mask;
    for (; index_[at] != kNone; at = (at + 1) & mask)
        if (types_[index_[at]].type == type) return index_[at];
    auto id = TypeId(types_.size());
    Atoms found = 0;
    each(type.kinds & kContainers, [&](Atom kind) {
        Atoms known = elements_of(kind);
        found |= known ? known : type.elements ? type.elements : kAllButCallable;
    });
    types_.push_back({type, found ? found : kAllButCallable, 0, false, false, {}});
    index_[at] = id;
    if (types_.size() * 2 > index_.size()) grow_index();
    return id;
}

void StaticTypes::grow_index() {
    index_.assign(index_.size() * 2, kNone);
    size_t mask = index_.size() - 1;
    for (TypeId id = 0; id < types_.size(); ++id) {
        size_t at = hash_of(types_[id].type) & mask;
        while (index_[at] != kNone) at = (at + 1) & mask;
        index_[at] = id;
    }
}

TypeId StaticTypes::function(const FunctionParameters& parameters, int maker,
                             std::span<const TypeId> captured) {
    StaticType type{bit(Callable), 0, parameters, int16_t(maker), uint8_t(captured.size()), {}};
    std::copy(captured.begin(), captured.end(), type.captured);
    return intern(type);
}

// What a parameter of a function admits. A negative index counts from the end. Returns kAll if the
// parameters are unknown, or if there is no such parameter: a fully bound function has none.
Atoms StaticTypes::parameter(TypeId function, int index) const {
    const FunctionParameters& p = types_[function].type.parameters;
    if (index < 0) index += p.n;
    return index >= 0 && index < p.n ? p.admitted[index] : kAll;
}

// --- Containers -------------------------------------------------------------------------------------

// A set or a tuple of `members`, whichever the container may be.
TypeId StaticTypes::like(TypeId container, Atoms members) {
    Atoms kind = kinds(container);
    if (!(kind & kTuples)) return of(set_of(members), members);
    if (!(kind & kSets)) return of(tuple_of(members), members);
    return of(set_of(members) | tuple_of(members), members);
}

// A container of containers, merged into one.
TypeId StaticTypes::merged(TypeId container) {
    Atoms inner = 0;
    each(elements(container) & kContainers, [&](Atom kind) {
        Atoms known = elements_of(kind);
        inner |= known ? known : kAllButCallable;
    });
    return like(container, inner ? inner : kAllButCallable);
}

TypeId StaticTypes::numerical(std::span<const TypeId> arguments) {
    bool integers = true, pair = false;
    for (TypeId argument : arguments) {
        Atoms kind = kinds(argument) & kNumerical;
        integers &= kind == bit(Integer);
        pair |= kind == bit(IntegerTuple);
    }
    return of(integers ? bit(Integer) : pair ? bit(IntegerTuple) : kNumerical);
}

// --- Results of calls -------------------------------------------------------------------------------

// `apply` and `result_of` return kNone once more than kMaxCalls calls are followed.
TypeId StaticTypes::apply(TypeId function, std::span<const TypeId> arguments) {
    if (function == kNone || std::count(arguments.begin(), arguments.end(), kNone) || calls_left_-- <= 0)
        return kNone;
    const StaticType& f = types_[function].type;
    if (f.maker < 0) return unknown_;
    if (f.captured_n == 0) // a primitive
        return arguments.size() == size_t(facts_of(f.maker).arity) ? result_of(f.maker, arguments) : unknown_;
    auto call = [&](TypeId of, std::initializer_list<TypeId> with) {
        return apply(of, std::span(with.begin(), with.size()));
    };
    switch (facts_of(f.maker).rule) {
    case Rule::Compose: return call(f.captured[0], {apply(f.captured[1], arguments)});
    case Rule::Chain:
        return call(f.captured[0], {call(f.captured[1], {apply(f.captured[2], arguments)})});
    case Rule::Fork: {
        TypeId first = apply(f.captured[1], arguments);
        return call(f.captured[0], {first, apply(f.captured[2], arguments)});
    }
    case Rule::Matcher: return of(bit(Boolean));
    case Rule::Power: return apply(f.captured[0], arguments);
    default: break; // rbind, lbind
    }
    // No function takes more than kMaxArguments arguments. One more stands for any greater number.
    TypeId all[kMaxArguments + 2];
    size_t n = std::min(arguments.size(), size_t(kMaxArguments) + 1);
    bool last = facts_of(f.maker).rule == Rule::Rbind;
    std::copy_n(arguments.begin(), n, all + !last);
    all[last ? n : 0] = f.captured[1];
    return apply(f.captured[0], {all, n + 1});
}

TypeId StaticTypes::result_of(int primitive, std::span<const TypeId> a) {
    const Facts& facts = facts_of(primitive);
    auto element = [&](size_t index) { return of(elements(a[index])); };
    auto called = [&](TypeId function, std::initializer_list<TypeId> with) {
        return apply(function, std::span(with.begin(), with.size()));
    };
    switch (facts.rule) {
    case Rule::Declared: break;
    case Rule::Same: {
        StaticType same = types_[a[facts.same]].type;
        same.kinds &= facts.declared;
        if (!same.kinds) same.kinds = facts.declared;
        return intern(same);
    }
    case Rule::ElementOfFirst: return element(0);
    case Rule::Numerical: return numerical(a);
    case Rule::Merged: return merged(a[0]);
    case Rule::Integer: return of(bit(Integer));
    case Rule::TupleOfElements: return of(tuple_of(elements(a[0])), elements(a[0]));
    case Rule::TupleOfFirst: return of(tuple_of(kinds(a[0])), kinds(a[0]));
    case Rule::SetOfFirst: return of(set_of(kinds(a[0])), kinds(a[0]));
    case Rule::Product: {
        Atoms pair = pair_of(elements(a[0]), elements(a[1]));
        return of(set_of(pair), pair);
    }
    case Rule::Pair: {
        Atoms pair = pair_of(elements(a[0]), elements(a[1]));
        return of(tuple_of(pair), pair);
    }
    case Rule::PairOfArguments: return of(pair_of(kinds(a[0]), kinds(a[1])), kinds(a[0]) | kinds(a[1]));
    case Rule::Grids: return of(atoms({Tuple, TupleTuple}), bit(Grid));
    case Rule::Branch: {
        if (a[1] == a[2]) return a[1];
        const StaticType &x = types_[a[1]].type, &y = types_[a[2]].type;
        return of(x.kinds | y.kinds, x.elements | y.elements);
    }
    case Rule::BestValue: return called(a[1], {element(0)});
    case Rule::Apply: {
        TypeId result = called(a[0], {element(1)});
        return result == kNone ? kNone : like(a[1], kinds(result));
    }
    case Rule::Mapply: {
        TypeId result = called(a[0], {element(1)});
        return result == kNone ? kNone : like(a[1], elements(result));
    }
    case Rule::Papply:
    case Rule::Mpapply:
    case Rule::Prapply: {
        TypeId result = called(a[0], {element(1), element(2)});
        if (result == kNone) return kNone;
        Atoms members = facts.rule == Rule::Mpapply ? elements(result) : kinds(result);
        return of(facts.rule == Rule::Prapply ? set_of(members) : tuple_of(members), members);
    }
    case Rule::Compose: return function(known_parameters(types_[a[1]].type, 1), primitive, a);
    case Rule::Chain: return function(known_parameters(types_[a[2]].type, 1), primitive, a);
    case Rule::Matcher:
    case Rule::Power: return function(known_parameters(types_[a[0]].type, 1), primitive, a);
    case Rule::Rbind:
    case Rule::Lbind: {
        FunctionParameters known = known_parameters(types_[a[0]].type, 2);
        int left = std::max(known.n - 1, 0);
        return function(make_parameters(known.admitted + (facts.rule == Rule::Lbind), left), primitive, a);
    }
    case Rule::Fork: {
        Atoms admitted = parameter(a[1], 0) & parameter(a[2], 0);
        if (!admitted) admitted = kAllButCallable;
        return function(make_parameters(&admitted, 1), primitive, a);
    }
    }
    return of(facts.declared);
}

TypeId StaticTypes::result(int primitive, std::span<const TypeId> arguments) {
    calls_left_ = kMaxCalls;
    TypeId found = result_of(primitive, arguments);
    return found == kNone ? unknown_ : found;
}

TypeId StaticTypes::applied(TypeId function, std::span<const TypeId> arguments) {
    calls_left_ = kMaxCalls;
    TypeId found = apply(function, arguments);
    return found == kNone ? unknown_ : found;
}

// What a function may return for any arguments.
Atoms StaticTypes::result_kinds(TypeId function) {
    Entry& entry = types_[function];
    if (!entry.has_result) {
        TypeId arguments[kMaxArguments];
        int n = std::max<int>(entry.type.parameters.n, 0);
        for (int k = 0; k < n; ++k) arguments[k] = of(entry.type.parameters.admitted[k]);
        entry.result_kinds = kinds(applied(function, {arguments, size_t(n)}));
        entry.has_result = true;
    }
    return entry.result_kinds;
}

// --- Arguments of calls -----------------------------------------------------------------------------

size_t StaticTypes::slot(int primitive, size_t index) { return facts_of(primitive).first_slot + index; }

// Whether a value may be argument `index` of a primitive, ignoring other arguments.
bool StaticTypes::admits(int primitive, size_t index, const Entry& candidate) {
    const Facts& facts = facts_of(primitive);
    const StaticType& type = candidate.type;
    if (!(type.kinds & facts.parameters[index])) return false;
    Atoms declared = facts.signature[index];
    if ((declared == kPatch || declared == bit(Object)) && !(type.kinds & declared))
        return type.elements & atoms({IntegerTuple, Cell}); // a tuple of places or cells
    if (declared == kContainerContainer && facts.rule != Rule::Mapply)
        return candidate.element_atoms & kContainers;
    int n = type.parameters.n;
    if (n < 0) return true;
    if ((facts.rule == Rule::Rbind || facts.rule == Rule::Lbind) && index == 0) return n >= 2;
    return facts.function_of[index] == 0 || n == facts.function_of[index];
}

const Slots& StaticTypes::slots(TypeId candidate) {
    Entry& entry = types_[candidate];
    if (!entry.has_slots) {
        for (int p = 0; p < int(table().size()); ++p)
            for (size_t k = 0; k < size_t(facts_of(p).arity); ++k)
                if (admits(p, k, entry)) entry.slots.set(slot(p, k));
        entry.has_slots = true;
    }
    return entry.slots;
}

bool StaticTypes::fits_depends(int primitive, size_t index) {
    const Facts& facts = facts_of(primitive);
    return facts.rule >= Rule::Apply || (index == 1 && facts.second != Second::Any);
}

bool StaticTypes::fits(int primitive, std::span<const TypeId> earlier, TypeId candidate) {
    size_t index = earlier.size();
    const Facts& facts = facts_of(primitive);
    if (!slots(candidate)[slot(primitive, index)]) return false;
    Atoms kind = kinds(candidate);
    auto wanted = [&](size_t function, int index) { return parameter(earlier[function], index); };
    switch (facts.rule) {
    case Rule::Compose:
    case Rule::Chain: return index == 0 || wanted(index - 1, 0) & result_kinds(candidate);
    case Rule::Fork:
        if (index == 0) return true;
        return wanted(0, int(index) - 1) & result_kinds(candidate) &&
               (index == 2 ? wanted(1, 0) : kAll) & parameter(candidate, 0);
    case Rule::Power: return index > 0 || parameter(candidate, 0) & result_kinds(candidate);
    case Rule::Matcher: return index == 0 || result_kinds(earlier[0]) & kind;
    case Rule::Rbind: return index == 0 || wanted(0, -1) & kind;
    case Rule::Lbind: return index == 0 || wanted(0, 0) & kind;
    case Rule::Apply:
    case Rule::Mapply:
        if (index == 0) return facts.rule == Rule::Apply || result_kinds(candidate) & kContainers;
        return wanted(0, 0) & elements(candidate);
    case Rule::Papply:
    case Rule::Mpapply:
    case Rule::Prapply:
        if (index == 0) return facts.rule != Rule::Mpapply || result_kinds(candidate) & kContainers;
        return wanted(0, int(index) - 1) & elements(candidate);
    default: break;
    }
    if (index != 1) return true;
    switch (facts.second) {
    case Second::Any: return true;
    case Second::Kind:
        return (kind & kSets && kinds(earlier[0]) & kSets) || kind & kinds(earlier[0]) & kTuples;
    case Second::Member: return kinds(earlier[0]) & elements(candidate);
    case Second::Key:
    case Second::Condition: {
        Atoms key = facts.second == Second::Key ? kAllButCallable : kAll;
        return parameter(candidate, 0) & elements(earlier[0]) && result_kinds(candidate) & key;
    }
    }
    return true;
}

bool StaticTypes::callable_with(TypeId candidate, int n) const {
    const StaticType& type = types_[candidate].type;
    return has(type.kinds, Callable) && (type.parameters.n < 0 || type.parameters.n == n);
}

bool StaticTypes::accepts(TypeId function, size_t index, TypeId candidate) const {
    return parameter(function, int(index)) & kinds(candidate);
}

// --- Programs ---------------------------------------------------------------------------------------

std::vector<LineTypes> infer_static_types(const Program& program) {
    StaticTypes types;
    std::vector<TypeId> variables;
    auto type = [&](Operand operand) {
        switch (operand.kind) {
        case Operand::Kind::Variable: return variables[operand.index];
        case Operand::Kind::Primitive: return types.primitive(operand.index);
        case Operand::Kind::Constant: return types.constant(operand.index);
        default: return types.input();
        }
    };
    std::vector<LineTypes> lines;
    for (const Line& line : program.lines) {
        TypeId arguments[kMaxArguments];
        std::transform(line.arguments, line.arguments + line.n, arguments, type);
        std::span<const TypeId> all(arguments, line.n);
        bool named = line.function.kind == Operand::Kind::Primitive, admitted = true;
        TypeId function = type(line.function);
        if (!named) admitted = types.callable_with(function, line.n);
        for (size_t k = 0; k < line.n && admitted; ++k)
            admitted = named ? types.fits(line.function.index, all.first(k), all[k])
                             : types.accepts(function, k, all[k]);
        variables.push_back(named ? types.result(line.function.index, all) : types.applied(function, all));
        lines.push_back({types[variables.back()].kinds, admitted});
    }
    return lines;
}

} // namespace codeit
