// What a route takes: hosts, methods and paths.
#ifndef TOLLGATE_POLICY_PATTERN_H_
#define TOLLGATE_POLICY_PATTERN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tollgate::policy {

struct HostPattern {
  enum class Kind {
    kAny,
    kExact,   // "api.example"
    kSuffix,  // "*.example": every name below it, at any depth, not the name itself
  };
  Kind kind = Kind::kAny;
  std::string name;  // of kSuffix without the "*."

  // Reads "api.example", "*.example" or "[::1]". INVALID_ARGUMENT otherwise; the message says what
  // would be right.
  static absl::StatusOr<HostPattern> Parse(absl::string_view text);
  std::string text() const;  // as Parse reads it; "" for kAny
};

struct PathPattern {
  enum class Kind {
    kAny,     // all paths, and the `*` of OPTIONS
    kExact,   // this path
    kPrefix,  // this path, and whatever lies below it
  };
  struct Segment {
    bool variable = false;
    std::string text;  // a variable's name, or what stands there
  };
  Kind kind = Kind::kAny;
  std::vector<Segment> segments;  // none: "/"

  // Reads "/v1/{workspace}/items/{id}": a variable takes exactly one segment, whatever it holds.
  // INVALID_ARGUMENT for what no canonical path can match; the message says what would be right.
  static absl::StatusOr<PathPattern> Parse(absl::string_view text, Kind kind);
  // Reads "/pkg.Service/Method", or "/pkg.Service/*" for all its methods. As Parse.
  static absl::StatusOr<PathPattern> ParseGrpc(absl::string_view text);

  // Which segment the variable takes; nullopt: there is no such variable.
  absl::optional<size_t> IndexOf(absl::string_view variable) const;
  std::string text() const;  // "/v1/{workspace}", "/static/…", "any path"
};

struct Pattern {
  HostPattern host;
  std::vector<std::string> methods;  // empty: all
  PathPattern path;
};

// Whether `method` is one that a request may have: 1 to 32 characters of a token of HTTP, no letter
// in lower case (programs differ on whether `get` is `GET`).
bool IsMethod(absl::string_view method);

// Whether everything that `later` takes is taken by `earlier`, too. With `fold_case` paths that
// differ in the case of their letters only are one.
bool Covers(const Pattern& earlier, const Pattern& later, bool fold_case);

// The parts of Covers.
bool HostCovers(const HostPattern& earlier, const HostPattern& later);
bool PathCovers(const PathPattern& earlier, const PathPattern& later, bool fold_case);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_PATTERN_H_
