#include "base/invariant.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/log.h"

namespace tollgate::base {
namespace {

// What the compiler puts before the path of each file: where the tree lay when it was built.
absl::string_view TreePrefix() {
  absl::string_view here = __FILE__;
  here.remove_suffix(absl::string_view("base/invariant.cc").size());
  return here;
}

}  // namespace

void InvariantBroken(const char* what, const char* condition, const char* file, int line) {
  absl::string_view path = file;
  const absl::string_view prefix = TreePrefix();
  if (path.substr(0, prefix.size()) == prefix) path.remove_prefix(prefix.size());
  LogLastWords(absl::StrCat("invariant broken: ", what),
               {{"condition", condition}, {"file", path}, {"line", line}});
  _exit(kExitInvariantBroken);
}

}  // namespace tollgate::base
