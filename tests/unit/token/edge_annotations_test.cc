#include "token/edge_annotations.h"

#include <string>
#include <vector>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::token {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

google::protobuf::RepeatedPtrField<std::string> Keys(const std::vector<std::string>& keys) {
  return {keys.begin(), keys.end()};
}

TEST(EdgeAnnotationsTest, WhatThePolicyNamesIsTold) {
  Annotations annotations;
  annotations["plan"] = "gold";
  annotations["team"] = "payments";
  annotations["empty"] = "";
  EXPECT_THAT(EdgeAnnotations(annotations, Keys({"plan", "absent", "empty"})),
              UnorderedElementsAre(Pair("plan", "gold"), Pair("empty", "")));
  EXPECT_THAT(EdgeAnnotations(annotations, Keys({})), IsEmpty());
}

TEST(EdgeAnnotationsTest, WholePairsInThePolicysOrderAsFarAsThereIsRoom) {
  Annotations annotations;
  annotations["a"] = std::string(199, 'x');  // 200 bytes
  annotations["b"] = std::string(56, 'x');   // 57: one too many beside a
  annotations["c"] = std::string(55, 'x');   // 56: to the byte
  annotations["d"] = "";
  EXPECT_THAT(EdgeAnnotations(annotations, Keys({"a", "b", "c", "d"})),
              UnorderedElementsAre(Pair("a", ::testing::_), Pair("c", ::testing::_)));
  EXPECT_THAT(
      EdgeAnnotations(annotations, Keys({"b", "a", "d", "c"})),
      UnorderedElementsAre(Pair("b", ::testing::_), Pair("d", ""), Pair("c", ::testing::_)));
  annotations["a"] = std::string(256, 'x');
  EXPECT_THAT(EdgeAnnotations(annotations, Keys({"a"})), IsEmpty());
}

TEST(EdgeAnnotationsTest, AGrantIsToldOfThemAndOfTheWishForAddresses) {
  store::v1::PolicyRecord policy;
  Annotations annotations;
  annotations["team"] = "payments";
  annotations["note"] = "for people";
  v1::Grant grant;
  TellByPolicy(annotations, policy, &grant);
  EXPECT_EQ(grant.ByteSizeLong(), 0u);
  policy.add_edge_annotations("team");
  policy.set_report_attempt_addresses(true);
  TellByPolicy(annotations, policy, &grant);
  EXPECT_THAT(grant.annotations(), UnorderedElementsAre(Pair("team", "payments")));
  EXPECT_TRUE(grant.report_attempt_addresses());
}

TEST(EdgeAnnotationsTest, KeysAreCheckedAsAnnotationsKeysAre) {
  const auto refused = [](const std::vector<std::string>& keys) {
    const absl::Status status = CheckEdgeAnnotations(Keys(keys), "f");
    if (status.ok()) return std::string("good");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return base::ReasonOf(status) + " " + base::DetailsOf(status).fields.at(0).field;
  };
  EXPECT_EQ(refused({}), "good");
  EXPECT_EQ(refused({"team", "a/b.c_d-e", std::string(63, 'a')}), "good");
  EXPECT_EQ(refused({"1", "2", "3", "4", "5", "6", "7", "8"}), "good");
  EXPECT_EQ(refused({"1", "2", "3", "4", "5", "6", "7", "8", "9"}), "TOO_MANY_EDGE_ANNOTATIONS f");
  EXPECT_EQ(refused({"a", "-a"}), "ANNOTATION_KEY_MALFORMED f[1]");
  EXPECT_EQ(refused({""}), "ANNOTATION_KEY_MALFORMED f[0]");
  EXPECT_EQ(refused({std::string(64, 'a')}), "ANNOTATION_KEY_MALFORMED f[0]");
  EXPECT_EQ(refused({"a", "b", "a"}), "ANNOTATION_KEY_REPEATED f[2]");
}

TEST(EdgeAnnotationsTest, AnEdgeKeepsNoMoreThanThatWhateverItIsTold) {
  Annotations annotations;
  for (int i = 0; i < 20; ++i) annotations["k" + std::to_string(10 + i)] = "v";
  annotations["a"] = std::string(300, 'x');
  const auto told = ToldAnnotations(annotations);
  ASSERT_THAT(told, SizeIs(kMaxEdgeAnnotations));
  EXPECT_EQ(told.front().first, "k10");
  EXPECT_EQ(told.back().first, "k17");
  annotations.clear();
  annotations["b"] = "2";
  annotations["a"] = "1";
  EXPECT_THAT(ToldAnnotations(annotations), ElementsAre(Pair("a", "1"), Pair("b", "2")));
}

}  // namespace
}  // namespace tollgate::token
