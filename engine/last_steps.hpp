// Last steps of programs, found backwards from the outputs of a task: calls that turn values of an
// enumeration into the outputs. Their number is bounded. The time grows with the number of values.
#pragma once

#include "rule_steps.hpp"
#include "targets.hpp"

namespace codeit {

class LastSteps {
  public:
    // Tries steps in the enumeration, which keeps those that solve the task.
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
    // Paints patches on grids (last_steps_paint.cpp): the patches of the enumeration, those that rules
    // draw, and these:
    void paint();
    std::vector<Argument> moved_objects();  // objects, moved to where the outputs show them
    std::vector<Argument> coloured_cells(); // of one colour, in a grid and in each output

    void cut();      // cuts rectangles out of grids
    void turn();     // mirrors, rotates and enlarges grids
    void join();     // joins two grids, or up to three by three tiles
    void recolour(); // replaces colours of a grid
    std::optional<Argument> tiled(const std::vector<Window>& wanted, int depth);

    Enumeration& enumeration_;
    RuleSteps& rules_;
    Targets targets_;
};

} // namespace codeit
