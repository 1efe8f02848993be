// The word that was probably meant.
#include "policy/near_miss.h"

#include <gtest/gtest.h>

#include <string>

namespace tollgate::policy {
namespace {

TEST(NearMiss, IsWhatAFewLettersAway) {
  constexpr absl::string_view kKnown[] = {"methods", "path", "prefix", "resource_metadata"};
  EXPECT_EQ(NearMiss("methds", kKnown), "methods") << "a letter is missing";
  EXPECT_EQ(NearMiss("method", kKnown), "methods");
  EXPECT_EQ(NearMiss("Paths", kKnown), "path") << "another case, a letter more";
  EXPECT_EQ(NearMiss("perfix", kKnown), "prefix") << "two swapped";
  EXPECT_EQ(NearMiss("resource-metadata", kKnown), "resource_metadata");
  EXPECT_EQ(NearMiss("host", kKnown), "");
  EXPECT_EQ(NearMiss("", kKnown), "");
  EXPECT_EQ(NearMiss(std::string(1000, 'm'), kKnown), "") << "bounded";
  EXPECT_EQ(NearMiss("path", {}), "");
}

}  // namespace
}  // namespace tollgate::policy
