// Rules: expressions of one element of a container, such as an object of a grid.
//
// A rule computes something of an element: its size, where it moves, what is drawn around it. Rules are
// calls without functions as arguments, enumerated bottom-up in the order of their cost. Of rules whose
// values are equal for all elements on all inputs, only the cheapest is kept. `compose`, `fork`, `rbind`
// and `lbind` make a rule a function of the language. They cost nothing here, since they only say where
// the element goes.
#pragma once

#include <optional>
#include <unordered_map>

#include "enumeration.hpp"

namespace codeit {

class Rules {
  public:
    struct Element {
        Value value;
        size_t example;
    };
    static constexpr size_t kMaxElements = 512; // on all inputs together

    // Reads the elements: objects, patches, grids or places. `valid` returns whether every input has
    // elements, they have one type, and they are not too many.
    Rules(Enumeration& enumeration, Argument container);
    bool valid() const { return valid_; }
    // Tries rules until their number or their steps reach a limit.
    void enumerate();
    // Forgets the values of rules. Only then can expressions be added to the enumeration again.
    void release();
    // Makes a function with the values of a rule. Returns nothing if that is not possible.
    std::optional<Argument> function(uint32_t rule);

    std::span<const Element> elements() const { return elements_; }
    // The first rule is the element itself.
    uint32_t size() const { return uint32_t(rules_.size()); }
    Atom type(uint32_t rule) const { return rules_[rule].type; }
    int bits(uint32_t rule) const { return rules_[rule].bits; }
    Value value(uint32_t rule, size_t element) const { return values_[rule * elements_.size() + element]; }
    uint64_t hash(uint32_t rule, size_t element) const { return hashes_[rule * elements_.size() + element]; }

  private:
    struct Rule {
        uint16_t primitive;
        uint8_t n;
        uint8_t of_element; // a bit for each argument: whether it is a rule, given by its index
        Argument arguments[kMaxArguments];
        Atom type;
        int bits;
    };
    static constexpr int kMaxRuleBits = 40;
    template <class T> using ByBits = std::vector<std::vector<T>>;

    void choose_globals();
    bool try_arguments(const Library::Call& call, Rule& rule, int position, int rest);
    bool try_rule(const Rule& rule);

    Enumeration& enumeration_;
    Argument container_;
    bool valid_;
    std::vector<Element> elements_;
    std::vector<Rule> rules_;
    std::vector<Value> values_;    // of rule r and element e: values_[r * elements + e]
    std::vector<uint64_t> hashes_; // likewise
    std::vector<Value> results_;   // of the rule being tried
    std::vector<uint64_t> result_hashes_;
    std::unordered_map<uint64_t, uint32_t> known_; // rules by a hash of their values
    ByBits<uint32_t> by_type_[kAtoms];
    ByBits<Argument> globals_[kAtoms]; // expressions that rules may use
    std::unordered_map<uint32_t, std::optional<Argument>> functions_;
    std::vector<Run::Mark> marks_;
    uint64_t tried_ = 0, steps_ = 0;
    bool full_ = false;
};

} // namespace codeit
