// Steps that treat the elements of a container alike: which of them are chosen, and what is drawn for
// each.
#pragma once

#include <unordered_map>
#include <vector>

#include "enumeration.hpp"
#include "targets.hpp"

namespace codeit {

// What was found for the containers of an enumeration so far.
class RuleSteps {
  public:
    explicit RuleSteps(Enumeration& enumeration) : enumeration_(enumeration) {}

    // Finds rules for the cheapest containers of each type, each once. Adds what they choose to the
    // enumeration. Returns the patches that they draw: those that no output contradicts, or none
    // where a canvas shows its ground.
    std::span<const Argument> find(const Targets& targets);

  private:
    bool find_for(Argument container, const Targets& targets); // false if it cannot have rules

    Enumeration& enumeration_;
    std::unordered_map<uint32_t, bool> is_valid_; // the containers that were considered
    std::vector<Argument> patches_;
};

} // namespace codeit
