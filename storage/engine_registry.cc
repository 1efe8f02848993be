#include "storage/engine_registry.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tollgate::storage {
namespace {

// The text before the first colon, where it has the form of a scheme (in either case, so that
// "RocksDB:x" is refused rather than made a folder of that name). Empty: there is none.
absl::string_view SchemeOf(absl::string_view text) {
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos || colon < 2) return {};
  const absl::string_view scheme = text.substr(0, colon);
  if (!absl::ascii_isalpha(static_cast<unsigned char>(scheme[0]))) return {};
  for (const char c : scheme) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '-' && c != '.') {
      return {};
    }
  }
  return scheme;
}

}  // namespace

EngineRegistry::EngineRegistry(std::vector<std::unique_ptr<const EngineDriver>> drivers)
    : drivers_(std::move(drivers)) {
  for (size_t i = 0; i < drivers_.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (drivers_[i]->scheme() == drivers_[j]->scheme()) {
        std::fprintf(stderr, "two engines are called %s\n",
                     std::string(drivers_[i]->scheme()).c_str());
        std::abort();
      }
    }
  }
  if (drivers_.empty()) {
    std::fprintf(stderr, "a registry of engines without an engine\n");
    std::abort();
  }
}

absl::StatusOr<EngineUri> EngineRegistry::Parse(absl::string_view text) const {
  if (text.empty()) return absl::InvalidArgumentError("is missing");
  const absl::string_view scheme = SchemeOf(text);
  if (scheme.empty()) return EngineUri{&default_driver(), std::string(text)};
  for (const auto& driver : drivers_) {
    if (driver->scheme() == scheme) {
      return EngineUri{driver.get(), std::string(text.substr(scheme.size() + 1))};
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("'", scheme, "' is no engine; there are ",
                                                 absl::StrJoin(schemes(), ", "),
                                                 ". A folder of that name is written ./", text));
}

std::string EngineRegistry::ToText(const EngineUri& uri) const {
  if (uri.driver != &default_driver()) {
    return absl::StrCat(uri.driver->scheme(), ":", uri.location);
  }
  return SchemeOf(uri.location).empty() ? uri.location : absl::StrCat("./", uri.location);
}

std::vector<std::string> EngineRegistry::schemes() const {
  std::vector<std::string> out;
  out.reserve(drivers_.size());
  for (const auto& driver : drivers_) out.emplace_back(driver->scheme());
  return out;
}

}  // namespace tollgate::storage
