// The index finds what looking at one route after the other would find.
#include "policy/route_index.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace tollgate::policy {
namespace {

Pattern Of(const std::string& host, std::vector<std::string> methods, PathPattern::Kind kind,
           const std::string& path) {
  Pattern pattern;
  if (!host.empty()) pattern.host = HostPattern::Parse(host).value();
  pattern.methods = std::move(methods);
  if (kind != PathPattern::Kind::kAny) pattern.path = PathPattern::Parse(path, kind).value();
  return pattern;
}

constexpr PathPattern::Kind kAny = PathPattern::Kind::kAny;
constexpr PathPattern::Kind kExact = PathPattern::Kind::kExact;
constexpr PathPattern::Kind kPrefix = PathPattern::Kind::kPrefix;
constexpr size_t kNone = RouteIndex::kNone;

size_t Find(const std::vector<Pattern>& patterns, const Destination& destination) {
  return RouteIndex(patterns, /*fold_case=*/false).Find(destination).route;
}

TEST(RouteIndex, PathsMatchBySegments) {
  const std::vector<Pattern> patterns = {Of("", {}, kExact, "/a/b"), Of("", {}, kPrefix, "/a/{x}"),
                                         Of("", {}, kExact, "/{x}"), Of("", {}, kExact, "/")};
  EXPECT_EQ(Find(patterns, {"", "GET", "/a/b"}), 0);
  EXPECT_EQ(Find(patterns, {"", "GET", "/a/b/c"}), 1) << "an exact path has nothing below it";
  EXPECT_EQ(Find(patterns, {"", "GET", "/a/c"}), 1) << "a prefix takes itself";
  EXPECT_EQ(Find(patterns, {"", "GET", "/a"}), 2);
  EXPECT_EQ(Find(patterns, {"", "GET", "/ab"}), 2) << "a variable takes a whole segment";
  EXPECT_EQ(Find(patterns, {"", "GET", "/ab/b"}), kNone) << "a prefix ends at a segment's border";
  EXPECT_EQ(Find(patterns, {"", "GET", "/"}), 3) << "a variable takes no empty segment";
  EXPECT_EQ(Find(patterns, {"", "GET", ""}), kNone) << "an asterisk is no path";
}

TEST(RouteIndex, TheFirstOfTheFileWins) {
  const std::vector<Pattern> patterns = {Of("", {"POST"}, kExact, "/a"), Of("", {}, kPrefix, "/"),
                                         Of("", {}, kExact, "/a"), Of("api.example", {}, kAny, "")};
  EXPECT_EQ(Find(patterns, {"api.example", "POST", "/a"}), 0);
  EXPECT_EQ(Find(patterns, {"api.example", "GET", "/a"}), 1) << "not the more exact one";
  EXPECT_EQ(Find(patterns, {"api.example", "OPTIONS", ""}), 3);
}

TEST(RouteIndex, HostsMatchWhollyOrFromTheirEnd) {
  const std::vector<Pattern> patterns = {Of("*.api.example", {}, kAny, ""),
                                         Of("api.example", {}, kAny, ""),
                                         Of("*.example", {}, kAny, "")};
  EXPECT_EQ(Find(patterns, {"a.api.example", "GET", "/"}), 0);
  EXPECT_EQ(Find(patterns, {"b.a.api.example", "GET", "/"}), 0) << "at any depth";
  EXPECT_EQ(Find(patterns, {"api.example", "GET", "/"}), 1) << "not the name itself";
  EXPECT_EQ(Find(patterns, {"xapi.example", "GET", "/"}), 2) << "whole labels only";
  EXPECT_EQ(Find(patterns, {"example", "GET", "/"}), kNone);
  EXPECT_EQ(Find(patterns, {"", "GET", "/"}), kNone);
}

TEST(RouteIndex, AnotherCaseIsSeenAndTold) {
  const RouteIndex index({Of("", {}, kExact, "/Admin/{x}"), Of("", {}, kPrefix, "/")}, true);
  EXPECT_EQ(index.Find({"", "GET", "/Admin/Me"}).route, 0);
  EXPECT_FALSE(index.Find({"", "GET", "/Admin/Me"}).other_case) << "a variable has no case";
  EXPECT_EQ(index.Find({"", "GET", "/admin/me"}).route, 0);
  EXPECT_TRUE(index.Find({"", "GET", "/admin/me"}).other_case);
  EXPECT_EQ(index.Find({"", "GET", "/other"}).route, 1);
  EXPECT_FALSE(index.Find({"", "GET", "/other"}).other_case);
}

TEST(Segments, AreCounted) {
  EXPECT_EQ(SegmentOf("/a/bc", 0), "a");
  EXPECT_EQ(SegmentOf("/a/bc", 1), "bc");
  EXPECT_EQ(SegmentOf("/a/bc", 2), "");
  EXPECT_EQ(SegmentOf("/", 0), "");
  EXPECT_EQ(SegmentOf("", 3), "");
}

// --- The index against a plain look at all routes. ---

// Written anew, from what docs/policy.md says, so that a mistake would have to be made twice.
bool Takes(const Pattern& pattern, const Destination& to, bool fold) {
  const auto same = [fold](absl::string_view a, absl::string_view b) {
    return fold ? absl::AsciiStrToLower(a) == absl::AsciiStrToLower(b) : a == b;
  };
  if (pattern.host.kind == HostPattern::Kind::kExact && to.host != pattern.host.name) return false;
  if (pattern.host.kind == HostPattern::Kind::kSuffix &&
      !absl::EndsWith(to.host, "." + pattern.host.name)) {
    return false;
  }
  if (!pattern.methods.empty()) {
    const std::string all = absl::StrCat(" ", absl::StrJoin(pattern.methods, " "), " ");
    if (!absl::StrContains(all, absl::StrCat(" ", to.method, " "))) return false;
  }
  if (pattern.path.kind == PathPattern::Kind::kAny) return true;
  if (to.path.empty()) return false;
  std::vector<std::string> segments = absl::StrSplit(to.path.substr(1), '/', absl::SkipEmpty());
  if (segments.size() < pattern.path.segments.size()) return false;
  if (pattern.path.kind == PathPattern::Kind::kExact &&
      segments.size() != pattern.path.segments.size()) {
    return false;
  }
  for (size_t i = 0; i < pattern.path.segments.size(); ++i) {
    const PathPattern::Segment& wanted = pattern.path.segments[i];
    if (!wanted.variable && !same(wanted.text, segments[i])) return false;
  }
  return true;
}

size_t FirstThatTakes(const std::vector<Pattern>& patterns, const Destination& to, bool fold) {
  for (size_t i = 0; i < patterns.size(); ++i) {
    if (Takes(patterns[i], to, fold)) return i;
  }
  return kNone;
}

// Few words, so that most routes overlap with others.
class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  size_t Below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  template <class T>
  const T& OneOf(const std::vector<T>& of) {
    return of[Below(of.size())];
  }
  std::string Path(bool variables) {
    static const std::vector<std::string> words = {"a", "b", "A", "ab", "v1"};
    std::string path;
    const size_t depth = Below(5);
    for (size_t i = 0; i < depth; ++i) {
      const bool variable = variables && Below(3) == 0;
      absl::StrAppend(&path, "/", variable ? absl::StrCat("{x", i, "}") : OneOf(words));
    }
    return path.empty() ? "/" : path;
  }
  std::string Host() {
    static const std::vector<std::string> hosts = {"a.x", "b.x", "c.b.x", "x", "a.y", "[::1]", ""};
    return OneOf(hosts);
  }
  Pattern Route() {
    static const std::vector<std::string> hosts = {"", "", "", "a.x", "*.x", "*.b.x", "x", "[::1]"};
    static const std::vector<std::string> methods = {"GET", "POST", "PUT"};
    std::vector<std::string> some;
    for (const std::string& method : methods) {
      if (Below(3) == 0) some.push_back(method);
    }
    const PathPattern::Kind kind = Below(12) == 0 ? kAny : Below(3) == 0 ? kPrefix : kExact;
    return Of(OneOf(hosts), some, kind, Path(true));
  }
  std::string Method() {
    static const std::vector<std::string> methods = {"GET", "POST", "PUT", "DELETE"};
    return OneOf(methods);
  }

 private:
  std::mt19937 random_;
};

TEST(RouteIndex, EqualsALookAtOneRouteAfterTheOther) {
  int taken = 0;
  int other_case = 0;
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    Dice dice(seed);
    std::vector<Pattern> patterns;
    const size_t count = 1 + dice.Below(60);
    while (patterns.size() < count) patterns.push_back(dice.Route());
    const RouteIndex exact(patterns, false);
    const RouteIndex folded(patterns, true);
    for (int i = 0; i < 300; ++i) {
      const std::string host = dice.Host();
      const std::string method = dice.Method();
      const std::string path = dice.Below(50) == 0 ? "" : dice.Path(false);
      const Destination to{host, method, path};
      const auto told = [&] { return absl::StrCat("seed ", seed, ": ", method, " ", host, path); };
      const size_t wanted = FirstThatTakes(patterns, to, false);
      ASSERT_EQ(exact.Find(to).route, wanted) << told();
      EXPECT_FALSE(exact.Find(to).other_case) << told();
      const RouteIndex::Found found = folded.Find(to);
      ASSERT_EQ(found.route, FirstThatTakes(patterns, to, true)) << told();
      // What is judged is what a program that tells the case would take, or it is refused.
      ASSERT_EQ(found.other_case, found.route != wanted) << told();
      taken += wanted != kNone;
      other_case += found.other_case;
    }
  }
  EXPECT_GT(taken, 30'000);
  EXPECT_GT(other_case, 1'000);
}

// Covers says that a route can never match only where that is so.
TEST(Covers, IsNeverWrong) {
  int covered = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    Dice dice(seed);
    for (int i = 0; i < 50; ++i) {
      const Pattern earlier = dice.Route();
      const Pattern later = dice.Route();
      const bool fold = dice.Below(2) == 0;
      if (!Covers(earlier, later, fold)) continue;
      ++covered;
      for (int k = 0; k < 100; ++k) {
        const std::string host = dice.Host();
        const std::string method = dice.Method();
        const std::string path = dice.Path(false);
        const Destination to{host, method, path};
        if (!Takes(later, to, fold)) continue;
        ASSERT_TRUE(Takes(earlier, to, fold)) << "seed " << seed << ": " << method << path;
      }
    }
  }
  EXPECT_GT(covered, 300);
}

}  // namespace
}  // namespace tollgate::policy
