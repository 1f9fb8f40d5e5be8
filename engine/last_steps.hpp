// The last steps of programs, found from the outputs of a task: calls that make the outputs of values
// that an enumeration has. Their number is bounded; the time grows with the number of values.
#pragma once

#include "rule_steps.hpp"
#include "targets.hpp"

namespace codeit {

class LastSteps {
  public:
    // Tries steps on the enumeration, which keeps those that solve the task.
    LastSteps(Enumeration& enumeration, RuleSteps& rules)
        : enumeration_(enumeration), rules_(rules), targets_(enumeration) {}

    void find() {
        paint();
        cut();
        turn();
        join();
        recolour();
    }

  private:
    // Paints patches on grids: in last_steps_paint.cpp. They are those of the enumeration, and these:
    void paint();
    std::vector<Argument> moved_objects();  // objects, moved to where the outputs show them
    std::vector<Argument> coloured_cells(); // those of one colour in a grid that have one in each output

    void cut();      // rectangles out of grids
    void turn();     // mirrors, rotates and enlarges grids
    void join();     // two grids side by side, or up to three by three tiles
    void recolour(); // replaces colours of a grid
    std::optional<Argument> tiled(const std::vector<Window>& wanted, int depth);

    Enumeration& enumeration_;
    RuleSteps& rules_;
    Targets targets_;
};

} // namespace codeit
