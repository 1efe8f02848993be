// How `tollgate workspace get` and `set-policy` are told their workspace. No service is there: to
// get as far as asking for one is to have understood.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "cli/command_line.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome Workspace(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--service", "unix:/nonexistent/tollgate.sock", "--timeout",
                                       "2s", "workspace"});
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  const int code = RunCommand(arguments, {&in, &out, &err, false, false, &base::SystemClock()});
  return {code, out.str(), err.str()};
}

TEST(WorkspaceCommands, TakeTheWorkspaceFromItsPlaceTheFlagOrTheEnvironment) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"get", "acme"},
           {"get", "workspaces/acme"},
           {"get", "-w", "acme"},
           {"get", "-w", "workspaces/acme"},
           {"get", "acme", "-w", "workspaces/acme"},
           {"set-policy", "-w", "workspaces/acme", "--unique-labels"},
           {"set-policy", "acme", "--unique-labels"},
       }) {
    EXPECT_EQ(Workspace(arguments).code, kUnavailable) << testing::PrintToString(arguments);
  }
  setenv("TOLLGATE_WORKSPACE", "acme", 1);
  EXPECT_EQ(Workspace({"get"}).code, kUnavailable);
  EXPECT_EQ(Workspace({"get", "another"}).code, kUnavailable);
  EXPECT_EQ(Workspace({"set-policy", "--unique-labels"}).code, kUnavailable);
  unsetenv("TOLLGATE_WORKSPACE");
}

TEST(WorkspaceCommands, RefuseNoneAndTwo) {
  EXPECT_EQ(Workspace({"get"}).code, kBadUsage);
  EXPECT_THAT(Workspace({"get"}).err, HasSubstr("TOLLGATE_WORKSPACE"));
  EXPECT_EQ(Workspace({"get", "acme", "-w", "another"}).code, kBadUsage);
  EXPECT_EQ(Workspace({"set-policy", "acme", "-w", "another", "--unique-labels"}).code, kBadUsage);
}

TEST(WorkspaceCommands, HelpCallsNeitherWayRequired) {
  EXPECT_THAT(Workspace({"get", "--help"}).out, Not(HasSubstr("REQUIRED")));
}

}  // namespace
}  // namespace tollgate::cli
