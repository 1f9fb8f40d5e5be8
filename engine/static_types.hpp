// Static types: what calls may return and which arguments they may take, inferred without a run.
//
// A value that is observed has one type (Atom in types.hpp). A static type is the set of atoms that
// a value may have when the program runs. It also holds what is known about the elements of a
// container, and about the parameters and the result of a function.
//
// The grammar (grammar.hpp) constrains sampling by these types. Token by token it allows only functions
// and arguments that `fits`, `callable_with` and `accepts` admit, computes the type of every
// finished line with `result` or `applied`, and ends a program only where it may give a grid.
//
// Inference is permissive: where nothing is known, a value may be anything. Only calls that fail on
// every input should be rejected. A few that can succeed are rejected too: at least 375 of the 400
// published experts are admitted (tests/language/test_static_types.py). An admitted call may still
// fail.
//
// A new primitive falls back to its declared signature. Where more is known about its result or its
// arguments, add it to the tables in static_types.cpp.
#pragma once

#include <bitset>
#include <deque>
#include <span>
#include <vector>

#include "program.hpp"
#include "types.hpp"

namespace codeit {

using TypeId = uint32_t; // equal types have equal ids

// A set of parameters of primitives, the "slots" that a value may fill: one bit each, in the order
// of primitives().
inline constexpr size_t kMaxSlots = 512;
using Slots = std::bitset<kMaxSlots>;

// The parameters of a function: the atoms that each admits.
struct FunctionParameters {
    static constexpr int8_t kUnknown = -1;
    int8_t n = kUnknown;
    Atoms admitted[kMaxArguments]{};
    bool operator==(const FunctionParameters&) const = default;
};

struct StaticType {
    Atoms kinds;        // atoms of the value
    Atoms elements = 0; // atoms of the elements of a container; 0 if they are unknown
    FunctionParameters parameters{};
    // How a function was made: a primitive, without captured types if it is the function itself, or
    // with the types of its arguments if it is one that returns functions, such as `compose`. -1
    // for other values, and for functions of unknown origin.
    int16_t maker = -1;
    uint8_t captured_n = 0;
    TypeId captured[kMaxArguments]{};
    bool operator==(const StaticType&) const = default;
};

// `result` and `applied` follow at most so many calls of function values, since functions such as
// `compose` nest. The type of a call that makes more, however nested, is unknown.
inline constexpr int kMaxCalls = 1000;

// Static types that are in use, and the inference rules. Types are never removed: their memory
// (about 140 bytes each) is freed with this object. It is for one thread at a time.
class StaticTypes {
  public:
    StaticTypes();

    TypeId input() const { return input_; }
    TypeId constant(int index) const { return constants_[size_t(index)]; }   // of constants()
    TypeId primitive(int index) const { return primitives_[size_t(index)]; } // of primitives(), as a value
    TypeId unknown() const { return unknown_; } // of a value about which nothing is known
    const StaticType& operator[](TypeId id) const { return types_[id].type; }
    size_t size() const { return types_.size(); }

    // The type of a call of a primitive. There is one argument for each parameter.
    TypeId result(int primitive, std::span<const TypeId> arguments);
    // The type of a call of a function value: a primitive or a function made by one.
    TypeId applied(TypeId function, std::span<const TypeId> arguments);

    // Whether a value may be the next argument of a primitive, after the earlier ones.
    bool fits(int primitive, std::span<const TypeId> earlier, TypeId candidate);
    // Whether `fits` depends on the earlier arguments, or on more of the candidate than its slots.
    static bool fits_depends(int primitive, size_t index);
    // Whether a variable may be called with `n` arguments.
    bool callable_with(TypeId candidate, int n) const;
    // Whether a value may be argument `index` in a call of a variable.
    bool accepts(TypeId function, size_t index, TypeId candidate) const;
    bool may_be_grid(TypeId candidate) const { return has(types_[candidate].type.kinds, Atom::Grid); }

    // The slots that a value may fill, regardless of other arguments.
    const Slots& slots(TypeId candidate);
    static size_t slot(int primitive, size_t index);

  private:
    struct Entry {
        StaticType type;
        Atoms element_atoms; // atoms that the elements may have
        // Computed when they are needed.
        Atoms result_kinds = 0; // what the function may return for any arguments
        bool has_result = false, has_slots = false;
        Slots slots;
    };

    TypeId intern(const StaticType& type);
    TypeId of(Atoms kinds, Atoms elements = 0) { return intern({kinds, elements}); }
    TypeId function(const FunctionParameters& parameters, int maker, std::span<const TypeId> captured);
    Atoms kinds(TypeId id) const { return types_[id].type.kinds; }
    Atoms elements(TypeId id) const { return types_[id].element_atoms; }
    Atoms result_kinds(TypeId function);
    Atoms parameter(TypeId function, int index) const;
    TypeId like(TypeId container, Atoms members);
    TypeId merged(TypeId container);
    TypeId numerical(std::span<const TypeId> arguments);
    TypeId apply(TypeId function, std::span<const TypeId> arguments);
    TypeId result_of(int primitive, std::span<const TypeId> arguments);
    static bool admits(int primitive, size_t index, const Entry& candidate);
    void grow_index();

    std::deque<Entry> types_;   // references stay valid as types are added
    std::vector<TypeId> index_; // an open-addressing hash table of the types; its size is a power of two
    TypeId input_, unknown_;
    std::vector<TypeId> constants_, primitives_;
    int calls_left_ = 0; // see kMaxCalls
};

// What the rules say about a line of a program.
struct LineTypes {
    Atoms kinds;   // of its result
    bool admitted; // its function may be called, and every argument fits
};
std::vector<LineTypes> infer_static_types(const Program& program);

} // namespace codeit
