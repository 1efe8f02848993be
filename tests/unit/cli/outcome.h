// One run of the command in this process: its exit code, and what it wrote.
#ifndef TOLLGATE_TESTS_UNIT_CLI_OUTCOME_H_
#define TOLLGATE_TESTS_UNIT_CLI_OUTCOME_H_

#include <sstream>
#include <string>
#include <vector>

#include "cli/command_line.h"

namespace tollgate::cli {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

inline Outcome Tollgate(std::vector<std::string> arguments, const std::string& input = "",
                        bool in_is_terminal = false) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal{&in, &out, &err, in_is_terminal, false, &base::SystemClock()};
  const int code = RunCommand(arguments, terminal);
  return {code, out.str(), err.str()};
}

}  // namespace tollgate::cli

#endif  // TOLLGATE_TESTS_UNIT_CLI_OUTCOME_H_
