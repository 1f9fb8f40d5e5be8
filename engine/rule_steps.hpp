// Steps that apply rules (rules.hpp) to all elements of a container: they choose elements, and draw a
// patch for each.
#pragma once

#include <unordered_map>
#include <vector>

#include "enumeration.hpp"
#include "targets.hpp"

namespace codeit {

// Finds such steps for the containers of an enumeration, and keeps those found so far.
class RuleSteps {
  public:
    explicit RuleSteps(Enumeration& enumeration) : enumeration_(enumeration) {}

    // Finds steps for the cheapest containers of each type, once for each container. Adds the chosen
    // elements to the enumeration. Returns the patches drawn: those that agree with all outputs, at
    // least where the first canvas shows its ground.
    std::span<const Argument> find(const Targets& targets);

  private:
    bool find_for(Argument container, const Targets& targets); // false if it cannot have rules

    Enumeration& enumeration_;
    std::unordered_map<uint32_t, bool> is_valid_; // the containers that were considered
    std::vector<Argument> patches_;
};

} // namespace codeit
