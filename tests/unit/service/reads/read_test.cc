// Reading: filters, pages, and page tokens that belong to something else.
#include <set>

#include "base/proto_time.h"
#include "service/reads/page_token.h"
#include "service/reads/preview_policy.h"
#include "service/reads/read_audit.h"
#include "service/reads/read_tokens.h"
#include "service/reads/scan_page.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::tollgate::v1::ListTokensRequest;
using ::tollgate::v1::TokenFilter;

const MayReadWorkspace kAll = [](absl::string_view) { return true; };

class ReadTest : public CommandTest {
 protected:
  ListTokensRequest List(const TokenFilter& filter = {}) {
    ListTokensRequest request;
    request.set_parent("workspaces/acme");
    *request.mutable_filter() = filter;
    return request;
  }
  std::set<std::string> Labels(const TokenFilter& filter) {
    const auto response = ReadTokenList(*View(), List(filter), now_, kAll);
    EXPECT_TRUE(response.ok()) << response.status();
    std::set<std::string> labels;
    for (const auto& token : response->tokens()) labels.insert(token.label());
    return labels;
  }
};

TEST_F(ReadTest, ATokenComesWithItsUseByEdgeLatestFirst) {
  const auto token = Made("a");
  Use(token, "staging/edge-1", now_ - absl::Hours(30), 7);
  Use(token, "payments/edge-3", now_ - absl::Seconds(40), 312);
  tollgate::v1::GetTokenRequest request;
  request.set_name(token.name());
  const auto read = ReadToken(*View(), request, now_).value();
  ASSERT_THAT(read.edge_uses(), SizeIs(2));
  EXPECT_EQ(read.edge_uses(0).edge(), "payments/edge-3");
  EXPECT_EQ(read.edge_uses(0).use_count_today(), 312);
  EXPECT_EQ(read.edge_uses(1).use_count(), 7);
  EXPECT_EQ(read.edge_uses(1).use_count_today(), 0);
  EXPECT_EQ(read.last_used_time().seconds(), absl::ToUnixSeconds(now_) - 40);
  request.set_name("workspaces/acme/tokens/0000000000000000");
  EXPECT_EQ(Reason(ReadToken(*View(), request, now_)), "TOKEN_NOT_FOUND");
  request.set_name("workspaces/acme/tokens/short");
  EXPECT_EQ(Reason(ReadToken(*View(), request, now_)), "BAD_RESOURCE_NAME");
}

TEST_F(ReadTest, ALabelIsFoundHoweverItIsWritten) {
  Made("Caf\u00e9 M\u00fcnchen");
  TokenFilter filter;
  filter.set_label_contains("cafe\u0301");
  EXPECT_THAT(Labels(filter), ElementsAre("Caf\u00e9 M\u00fcnchen"));
  filter.set_label_contains("cafe m");
  EXPECT_TRUE(Labels(filter).empty());
}

TEST_F(ReadTest, Filters) {
  auto request = Ask("CI Deploy");
  request.mutable_token()->set_owner("team-a");
  (*request.mutable_token()->mutable_annotations())["env"] = "prod";
  request.mutable_lifetime()->set_seconds(3600);
  const auto ci = (*Create(request))->response().token();
  const auto zapier = Made("Zapier", "team-b");
  const auto gone = Made("gone");
  ASSERT_TRUE(RevokeOne(gone.name()).ok());
  const absl::Time made = now_;
  now_ += absl::Minutes(10);
  Use(ci, "payments/edge-3", now_);

  TokenFilter filter;
  EXPECT_EQ(Labels(filter).size(), 3u);
  filter.add_states(tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_THAT(Labels(filter), ElementsAre("gone"));
  filter.Clear();
  filter.set_label_contains("dePLOY");
  EXPECT_THAT(Labels(filter), ElementsAre("CI Deploy"));
  filter.Clear();
  filter.set_owner("team-b");
  EXPECT_THAT(Labels(filter), ElementsAre("Zapier"));
  filter.Clear();
  (*filter.mutable_annotations())["env"] = "prod";
  EXPECT_THAT(Labels(filter), ElementsAre("CI Deploy"));
  (*filter.mutable_annotations())["env"] = "dev";
  EXPECT_TRUE(Labels(filter).empty());
  filter.Clear();
  *filter.mutable_unused_since() = base::ToProto(made + absl::Minutes(5));
  // Whoever tidies up by it has no use for what has ended, unless it says so.
  EXPECT_THAT(Labels(filter), ElementsAre("Zapier"));
  filter.add_states(tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_THAT(Labels(filter), ElementsAre("gone"));
  filter.Clear();
  filter.mutable_unused_for()->set_seconds(300);
  EXPECT_THAT(Labels(filter), ElementsAre("Zapier"));
  filter.mutable_unused_for()->set_seconds(600);
  EXPECT_TRUE(Labels(filter).empty());
  filter.Clear();
  *filter.mutable_expiring_before() = base::ToProto(now_ + absl::Hours(2));
  EXPECT_THAT(Labels(filter), ElementsAre("CI Deploy"));
  filter.Clear();
  filter.mutable_expiring_within()->set_seconds(3001);
  EXPECT_THAT(Labels(filter), ElementsAre("CI Deploy"));
  filter.mutable_expiring_within()->set_seconds(3000);
  EXPECT_TRUE(Labels(filter).empty());
  const absl::Time before = now_;
  now_ += absl::Hours(1);
  filter.mutable_expiring_within()->set_seconds(7200);
  EXPECT_TRUE(Labels(filter).empty()) << "it has expired";
  now_ = before;
  filter.Clear();
  *filter.mutable_rotation_due_before() = base::ToProto(now_ + absl::Hours(24));
  EXPECT_TRUE(Labels(filter).empty());
  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_rotation_period()->set_seconds(3600);
  ASSERT_TRUE(SetPolicy(policy).ok());
  EXPECT_THAT(Labels(filter), ElementsAre("CI Deploy", "Zapier"));
}

TEST_F(ReadTest, TellsWhoStillTriesADeadToken) {
  using tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE;
  using tollgate::v1::VERDICT_REASON_REVOKED;
  using tollgate::v1::VERDICT_REASON_SUSPENDED;
  const auto alive = Made("alive");
  const auto quiet = Made("quiet");
  const auto tried = Made("tried");
  const auto resumed = Made("resumed");
  Use(quiet, "edge", now_);
  Refused(alive, "edge", VERDICT_REASON_INSUFFICIENT_SCOPE, now_);
  // Refused while it was good, for what it may not do: that is no use of a dead token.
  Refused(quiet, "edge", VERDICT_REASON_INSUFFICIENT_SCOPE, now_);
  ASSERT_TRUE(RevokeOne(quiet.name()).ok());
  ASSERT_TRUE(RevokeOne(tried.name()).ok());
  ASSERT_TRUE(Suspend(resumed.name()).ok());
  Refused(resumed, "edge", VERDICT_REASON_SUSPENDED, now_);
  TokenFilter filter;
  filter.set_still_tried(true);
  EXPECT_THAT(Labels(filter), ElementsAre("resumed"));
  now_ += absl::Minutes(10);
  ASSERT_TRUE(Resume(resumed.name()).ok());
  EXPECT_TRUE(Labels(filter).empty());
  ASSERT_TRUE(Suspend(resumed.name()).ok());
  EXPECT_TRUE(Labels(filter).empty()) << "it was tried in an earlier suspension";
  Refused(tried, "payments/edge-3", VERDICT_REASON_REVOKED, now_ - absl::Seconds(4), 3);
  Refused(tried, "staging/edge-1", VERDICT_REASON_REVOKED, now_ - absl::Minutes(4), 2);
  EXPECT_THAT(Labels(filter), ElementsAre("tried"));
  filter.add_states(tollgate::v1::TOKEN_STATE_EXPIRED);
  EXPECT_TRUE(Labels(filter).empty());
  filter.clear_states();
  // By the latest attempt, to the second at which it was.
  filter.mutable_tried_within()->set_seconds(4);
  EXPECT_THAT(Labels(filter), ElementsAre("tried"));
  filter.mutable_tried_within()->set_seconds(3);
  EXPECT_TRUE(Labels(filter).empty());

  tollgate::v1::ListTokenAttemptsRequest request;
  request.set_name(tried.name());
  const auto read = ReadTokenAttempts(*View(), request, now_).value();
  ASSERT_THAT(read.attempts(), SizeIs(2));
  EXPECT_EQ(read.attempts(0).edge(), "payments/edge-3");
  EXPECT_EQ(read.attempts(0).reason(), VERDICT_REASON_REVOKED);
  EXPECT_EQ(read.attempts(0).count(), 3);
  EXPECT_EQ(read.attempts(0).first_time().seconds(), absl::ToUnixSeconds(now_) - 4);
  EXPECT_EQ(read.attempts(0).last_time().seconds(), absl::ToUnixSeconds(now_) - 4);
  EXPECT_EQ(read.token().label(), "tried");
  EXPECT_EQ(read.token().last_tried_time().seconds(), absl::ToUnixSeconds(now_) - 4);
  tollgate::v1::GetTokenRequest get;
  get.set_name(tried.name());
  const auto token = ReadToken(*View(), get, now_).value();
  EXPECT_EQ(token.last_tried_time().seconds(), absl::ToUnixSeconds(now_) - 4);
  EXPECT_THAT(token.edge_uses(), SizeIs(0));
  get.set_name(quiet.name());
  EXPECT_FALSE(ReadToken(*View(), get, now_)->has_last_tried_time());
  request.set_name("workspaces/acme/tokens/0000000000000000");
  EXPECT_EQ(Reason(ReadTokenAttempts(*View(), request, now_)), "TOKEN_NOT_FOUND");
  request.set_name("workspaces/acme/tokens/short");
  EXPECT_EQ(Reason(ReadTokenAttempts(*View(), request, now_)), "BAD_RESOURCE_NAME");
}

TEST_F(ReadTest, TriedWithinIsRefusedWhereItMeansNothing) {
  auto request = List();
  request.mutable_filter()->mutable_tried_within()->set_seconds(60);
  const auto alone = ReadTokenList(*View(), request, now_, kAll);
  EXPECT_EQ(alone.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reason(alone), "TRIED_WITHIN_ALONE");
  EXPECT_EQ(Field(alone.status()), "filter.tried_within");
  request.mutable_filter()->set_still_tried(true);
  for (const int64_t seconds : {int64_t{0}, int64_t{-1}, int64_t{315'000'000'000}}) {
    request.mutable_filter()->mutable_tried_within()->set_seconds(seconds);
    EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "TRIED_WITHIN_OUT_OF_BOUNDS");
  }
  request.mutable_filter()->mutable_tried_within()->set_nanos(-5);
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "DURATION_MALFORMED");
}

TEST_F(ReadTest, PagesCoverAllOnceAndBelongToTheirList) {
  for (int i = 0; i < 7; ++i) Made(absl::StrCat("t", i));
  auto elsewhere = Ask("x");
  elsewhere.set_parent("workspaces/other");
  elsewhere.set_create_workspace(true);
  ASSERT_TRUE(Create(elsewhere).ok());
  auto request = List();
  request.set_page_size(3);
  std::vector<size_t> sizes;
  std::set<std::string> names;
  std::string token;
  do {
    const auto page = ReadTokenList(*View(), request, now_, kAll).value();
    sizes.push_back(static_cast<size_t>(page.tokens_size()));
    for (const auto& one : page.tokens()) names.insert(one.name());
    if (!page.next_page_token().empty()) token = page.next_page_token();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(sizes, ElementsAre(3, 3, 1));
  EXPECT_EQ(names.size(), 7u);

  request.set_page_token(token);
  request.set_parent("workspaces/other");
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "PAGE_TOKEN_MISMATCH");
  request = List();
  request.set_page_token(token);
  request.mutable_filter()->set_owner("team-a");
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "PAGE_TOKEN_MISMATCH");
  request.mutable_filter()->Clear();
  request.mutable_filter()->set_still_tried(true);
  request.mutable_filter()->mutable_tried_within()->set_seconds(60);
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "PAGE_TOKEN_MISMATCH");
  request = List();
  std::string flipped = token;
  flipped[flipped.size() / 2] = flipped[flipped.size() / 2] == 'A' ? 'B' : 'A';
  for (const std::string& bad : {std::string("garbage"), std::string("!!"), flipped,
                                 token.substr(0, token.size() / 2), std::string(5000, 'A')}) {
    request.set_page_token(bad);
    const auto refused = ReadTokenList(*View(), request, now_, kAll);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Reason(refused), "PAGE_TOKEN_MALFORMED") << bad;
    EXPECT_EQ(Field(refused.status()), "page_token");
  }
  request = List();
  request.set_page_size(-1);
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "PAGE_SIZE_NEGATIVE");
  request = List();
  request.set_parent("workspaces/none");
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "WORKSPACE_NOT_FOUND");
  request = List();
  request.mutable_filter()->mutable_states()->Add(99);
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, kAll)), "STATE_UNKNOWN");
}

TEST_F(ReadTest, AllWorkspacesThatMayBeReadComeInPages) {
  std::set<std::string> readable;
  for (const char* workspace : {"acme", "acme-2", "b", "hidden", "z"}) {
    for (int i = 0; i < 3; ++i) {
      auto ask = Ask(absl::StrCat(workspace, i));
      ask.set_parent(absl::StrCat("workspaces/", workspace));
      ask.set_create_workspace(true);
      ASSERT_TRUE(Create(ask).ok());
      if (ask.parent() != "workspaces/hidden") readable.insert(ask.token().label());
    }
  }
  const MayReadWorkspace may_read = [](absl::string_view name) {
    return name != "workspaces/hidden";
  };
  for (int page_size = 1; page_size < 14; ++page_size) {
    auto request = List();
    request.set_parent("workspaces/-");
    request.set_page_size(page_size);
    std::vector<std::string> names;
    std::set<std::string> labels;
    int pages = 0;
    do {
      const auto page = ReadTokenList(*View(), request, now_, may_read).value();
      ++pages;
      for (const auto& one : page.tokens()) {
        names.push_back(one.name());
        labels.insert(one.label());
      }
      EXPECT_LE(page.tokens_size(), page_size);
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(labels, readable) << page_size;
    EXPECT_EQ(names.size(), readable.size()) << page_size;
    EXPECT_EQ(pages, (12 + page_size - 1) / page_size) << "no empty page at the end";
  }
  // The page tokens of one list are none of the other's.
  auto request = List();
  request.set_parent("workspaces/-");
  request.set_page_size(1);
  request.set_page_token(ReadTokenList(*View(), request, now_, may_read).value().next_page_token());
  request.set_parent("workspaces/acme");
  EXPECT_EQ(Reason(ReadTokenList(*View(), request, now_, may_read)), "PAGE_TOKEN_MISMATCH");
}

// Neither a page token nor a short page tells that others lie between or behind.
TEST_F(ReadTest, AListOfWorkspacesTellsNothingOfThoseThatMayNotBeRead) {
  for (const char* workspace : {"a", "hidden-1", "m", "z-hidden"}) {
    auto ask = Ask("x");
    ask.set_parent(absl::StrCat("workspaces/", workspace));
    ask.set_create_workspace(true);
    ASSERT_TRUE(Create(ask).ok());
  }
  const MayReadWorkspace may_read = [](absl::string_view name) {
    return name == "workspaces/a" || name == "workspaces/m";
  };
  tollgate::v1::ListWorkspacesRequest request;
  request.set_page_size(1);
  const auto first = ReadWorkspaceList(*View(), request, may_read).value();
  ASSERT_EQ(first.workspaces_size(), 1);
  EXPECT_EQ(first.workspaces(0).name(), "workspaces/a");
  EXPECT_EQ(first.next_page_token(), MakePageToken("workspaces", "a"))
      << "behind the last that is shown, and not behind one that is not";
  request.set_page_token(first.next_page_token());
  const auto last = ReadWorkspaceList(*View(), request, may_read).value();
  ASSERT_EQ(last.workspaces_size(), 1);
  EXPECT_EQ(last.workspaces(0).name(), "workspaces/m");
  EXPECT_EQ(last.next_page_token(), "") << "nothing follows that he may see";
}

// Else one call would look at all of a store's empty workspaces.
TEST_F(ReadTest, WorkspacesWithoutTokensFillAPageToo) {
  auto ask = Ask("one");
  ask.set_parent("workspaces/z");
  ask.set_create_workspace(true);
  ASSERT_TRUE(Create(ask).ok());
  Harm([](storage::Effects& effects) {
    for (size_t i = 0; i < 2 * kMaxScannedPerPage; ++i) {
      store::v1::WorkspaceRecord record;
      record.set_workspace(absl::StrCat("w", i));
      effects.Put(storage::Table::kWorkspaces, record.workspace(), record);
    }
  });
  auto request = List();
  request.set_parent("workspaces/-");
  int pages = 0;
  int tokens = 0;
  do {
    const auto page =
        ReadTokenList(*View(), request, now_, [](absl::string_view) { return true; }).value();
    ++pages;
    tokens += page.tokens_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(tokens, 1);
}

TEST_F(ReadTest, APageTokenGivesNoHiddenWorkspaceAway) {
  for (const char* workspace : {"acme", "hidden", "z"}) {
    auto ask = Ask(workspace);
    ask.set_parent(absl::StrCat("workspaces/", workspace));
    ask.set_create_workspace(true);
    ASSERT_TRUE(Create(ask).ok());
  }
  auto request = List();
  request.set_parent("workspaces/-");
  request.set_page_size(1);
  const auto page = ReadTokenList(*View(), request, now_, [](absl::string_view name) {
                      return name != "workspaces/hidden";
                    }).value();
  const auto after =
      ReadPageToken(absl::StrCat("tokens\n-\n", storage::SerializeRecord(request.filter())),
                    page.next_page_token());
  EXPECT_EQ(storage::ParseTokenKey(after.value())->workspace, "acme");
  EXPECT_EQ(ReadTokenList(*View(), request, now_,
                          [](absl::string_view name) { return name == "workspaces/acme"; })
                ->next_page_token(),
            "")
      << "nothing behind it may be read";
}

TEST_F(ReadTest, WhatHasEndedIsCountedWhereTheStatesLeaveItOut) {
  Made("alive");
  const auto gone = Made("gone");
  ASSERT_TRUE(RevokeOne(gone.name()).ok());
  TokenFilter filter;
  filter.add_states(tollgate::v1::TOKEN_STATE_ACTIVE);
  const auto count = [&] {
    return ReadTokenList(*View(), List(filter), now_, kAll)->ended_left_out_count();
  };
  EXPECT_EQ(count(), 1);
  filter.set_label_contains("gone");
  EXPECT_EQ(count(), 1);
  filter.set_label_contains("alive");
  EXPECT_EQ(count(), 0);
  filter.clear_label_contains();
  filter.mutable_unused_for()->set_seconds(0);
  EXPECT_EQ(count(), 0) << "whether it was unused is not looked at";
  filter.clear_unused_for();
  filter.add_states(tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(count(), 0);
}

TEST_F(ReadTest, AFilterByNothingVisibleIsRefused) {
  Made("one");
  TokenFilter filter;
  filter.set_label_contains("\u200b\u2060");
  EXPECT_EQ(Reason(ReadTokenList(*View(), List(filter), now_, kAll)), "LABEL_INVISIBLE");
}

TEST_F(ReadTest, AFilterThatHitsLittleAnswersShortPages) {
  std::vector<std::shared_ptr<CreateTokenCommand>> made;
  std::vector<storage::Command*> batch;
  for (size_t i = 0; i < kMaxScannedPerPage + 10; ++i) {
    made.push_back(CreateTokenCommand::Make(Ask(i == kMaxScannedPerPage + 5 ? "needle" : "hay"),
                                            "local", Mint())
                       .value());
    batch.push_back(made.back().get());
  }
  RunAll(batch);
  TokenFilter filter;
  filter.set_label_contains("needle");
  auto request = List(filter);
  const auto first = ReadTokenList(*View(), request, now_, kAll).value();
  EXPECT_EQ(first.tokens_size(), 0);
  ASSERT_FALSE(first.next_page_token().empty());
  request.set_page_token(first.next_page_token());
  const auto second = ReadTokenList(*View(), request, now_, kAll).value();
  EXPECT_EQ(second.tokens_size(), 1);
  EXPECT_TRUE(second.next_page_token().empty());
}

TEST_F(ReadTest, WorkspacesAndAudit) {
  for (const char* workspace : {"b", "a", "c"}) {
    auto request = Ask("x");
    request.set_parent(absl::StrCat("workspaces/", workspace));
    request.set_create_workspace(true);
    ASSERT_TRUE(Create(request).ok());
  }
  tollgate::v1::ListWorkspacesRequest list;
  list.set_page_size(2);
  auto page = ReadWorkspaceList(*View(), list, kAll).value();
  ASSERT_THAT(page.workspaces(), SizeIs(2));
  EXPECT_EQ(page.workspaces(0).name(), "workspaces/a");
  EXPECT_FALSE(page.workspaces(0).has_policy());
  list.set_page_token(page.next_page_token());
  page = ReadWorkspaceList(*View(), list, kAll).value();
  EXPECT_THAT(page.workspaces(), SizeIs(1));
  EXPECT_TRUE(page.next_page_token().empty());
  tollgate::v1::GetWorkspaceRequest get;
  get.set_name("workspaces/none");
  EXPECT_EQ(Reason(ReadWorkspace(*View(), get)), "WORKSPACE_NOT_FOUND");
  // A page token of another list.
  auto tokens = List();
  tokens.set_parent("workspaces/a");
  tokens.set_page_token(MakePageToken("workspaces", "a"));
  EXPECT_EQ(Reason(ReadTokenList(*View(), tokens, now_, kAll)), "PAGE_TOKEN_MISMATCH");

  tollgate::v1::ListAuditEntriesRequest audit;
  audit.set_page_size(4);
  auto entries = ReadAuditEntries(*View(), audit, now_).value();
  ASSERT_THAT(entries.entries(), SizeIs(4));
  EXPECT_EQ(entries.entries(0).action(), "workspace.create");
  EXPECT_EQ(entries.entries(0).revision(), 1);
  EXPECT_EQ(entries.entries(1).action(), "token.create");
  EXPECT_EQ(entries.entries(1).revision(), 1);
  audit.set_page_token(entries.next_page_token());
  EXPECT_THAT(ReadAuditEntries(*View(), audit, now_).value().entries(), SizeIs(2));
  audit.Clear();
  audit.set_parent("workspaces/c");
  EXPECT_THAT(ReadAuditEntries(*View(), audit, now_).value().entries(), SizeIs(2));
  audit.set_from_revision(-1);
  EXPECT_EQ(Reason(ReadAuditEntries(*View(), audit, now_)), "FROM_REVISION_NEGATIVE");
}

// A client takes 4 MiB by default.
TEST_F(ReadTest, APageEndsBeforeItIsTooLargeForAClient) {
  auto request = Ask("t");
  request.mutable_token()->clear_scopes();
  for (int i = 0; i < 64; ++i) {
    request.mutable_token()->add_scopes(absl::StrCat(std::string(90, 'a'), ":", 100 + i));
  }
  std::vector<std::shared_ptr<CreateTokenCommand>> made;
  std::vector<storage::Command*> batch;
  for (int i = 0; i < 700; ++i) {
    made.push_back(CreateTokenCommand::Make(request, "local", Mint()).value());
    batch.push_back(made.back().get());
  }
  for (const auto& status : RunAll(batch)) ASSERT_TRUE(status.ok()) << status;
  ListTokensRequest list = List();
  list.set_page_size(1000);
  int seen = 0;
  int pages = 0;
  do {
    const auto page = ReadTokenList(*View(), list, now_, kAll);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LT(page->ByteSizeLong(), size_t{3} << 19);
    EXPECT_GT(page->tokens_size(), 0);
    seen += page->tokens_size();
    ++pages;
    list.set_page_token(page->next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(seen, 700);
  EXPECT_GT(pages, 3);
}

TEST_F(ReadTest, APageOfTheAuditLogEndsTooAndGoesOnWhereItEnded) {
  const auto token = Made("t");
  tollgate::v1::SuspendTokenRequest suspend;
  suspend.set_name(token.name());
  for (int i = 0; i < 512; ++i) suspend.mutable_reason()->append("\u20ac");
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Do(SuspendTokenCommand::Make(suspend, "local")).ok());
    ASSERT_TRUE(Resume(token.name()).ok());
  }
  tollgate::v1::ListAuditEntriesRequest list;
  list.set_page_size(1000);
  int seen = 0;
  bool ended_early = false;
  do {
    const auto page = ReadAuditEntries(*View(), list, now_);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LT(page->ByteSizeLong(), size_t{3} << 19);
    seen += page->entries_size();
    list.set_page_token(page->next_page_token());
    ended_early |= page->entries_size() < 1000 && !list.page_token().empty();
  } while (!list.page_token().empty());
  EXPECT_EQ(seen, 2002);  // of the workspace and the token, too
  EXPECT_TRUE(ended_early);
}

TEST_F(ReadTest, ARetentionIsPreviewedByWhatItWouldPurge) {
  Made("lives");
  ASSERT_TRUE(RevokeOne(Made("old").name()).ok());
  now_ += absl::Hours(3);
  ASSERT_TRUE(RevokeOne(Made("new").name()).ok());
  tollgate::v1::PreviewWorkspacePolicyRequest preview;
  preview.set_name("workspaces/acme");
  preview.mutable_update_mask()->add_paths("ended_retention");
  EXPECT_EQ(PreviewPolicy(*View(), preview, now_)->purged_count(), 0) << "the usual one";
  preview.mutable_policy()->mutable_ended_retention()->set_seconds(2 * 3600);
  EXPECT_EQ(PreviewPolicy(*View(), preview, now_)->purged_count(), 1);
  preview.mutable_policy()->mutable_ended_retention()->set_seconds(1);
  now_ += absl::Seconds(1);
  EXPECT_EQ(PreviewPolicy(*View(), preview, now_)->purged_count(), 2);
  preview.mutable_policy()->mutable_ended_retention()->set_seconds(0);  // keep
  EXPECT_EQ(PreviewPolicy(*View(), preview, now_)->purged_count(), 0);
}

TEST_F(ReadTest, APolicyIsPreviewedAndChangesNothing) {
  auto request = Ask("Old Key");
  request.mutable_token()->add_scopes("admin");
  const auto admin = (*Create(request))->response().token();
  const auto idle = Made("idle");
  const auto busy = Made("busy");
  const auto gone = Made("gone");
  ASSERT_TRUE(RevokeOne(gone.name()).ok());
  Use(idle, "prod/edge-1", now_ + absl::Hours(1));
  now_ += absl::Hours(100);
  Use(busy, "prod/edge-2", now_ - absl::Hours(1));
  const int64_t head = Head();

  tollgate::v1::PreviewWorkspacePolicyRequest preview;
  preview.set_name("workspaces/acme");
  preview.mutable_policy()->mutable_max_unused()->set_seconds(10 * 3600);
  preview.mutable_policy()->add_grantable_scopes("deploy:*");
  preview.mutable_policy()->set_label_pattern("[a-z]+");
  for (const char* path : {"max_unused", "grantable_scopes", "label_pattern"}) {
    preview.mutable_update_mask()->add_paths(path);
  }
  const auto all = PreviewPolicy(*View(), preview, now_);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(Head(), head);
  EXPECT_EQ(all->examined_count(), 3);
  ASSERT_THAT(all->impacts(), SizeIs(2));
  const auto& old = all->impacts(0);
  EXPECT_EQ(old.token().name(), admin.name());
  EXPECT_THAT(old.ungrantable_scopes(), ElementsAre("admin"));
  EXPECT_TRUE(old.label_mismatch());
  EXPECT_EQ(old.last_used_edge(), "");
  EXPECT_EQ(old.unused_end_time().seconds(), absl::ToUnixSeconds(now_) + 10 * 3600);
  const auto& silent = all->impacts(1);
  EXPECT_EQ(silent.token().name(), idle.name());
  EXPECT_EQ(silent.last_used_edge(), "prod/edge-1");
  EXPECT_TRUE(silent.token().has_last_used_time());
  EXPECT_TRUE(silent.ungrantable_scopes().empty());
  EXPECT_FALSE(silent.label_mismatch());

  preview.set_page_size(1);
  auto page = PreviewPolicy(*View(), preview, now_).value();
  EXPECT_EQ(page.impacts(0).token().name(), admin.name());
  preview.set_page_token(page.next_page_token());
  page = PreviewPolicy(*View(), preview, now_).value();
  EXPECT_EQ(page.impacts(0).token().name(), idle.name());
  preview.mutable_policy()->set_label_pattern("[a-z ]+");
  EXPECT_EQ(Reason(PreviewPolicy(*View(), preview, now_)), "PAGE_TOKEN_MISMATCH");
  preview.clear_page_token();
  preview.mutable_policy()->set_label_pattern("(");
  EXPECT_EQ(Reason(PreviewPolicy(*View(), preview, now_)), "LABEL_PATTERN_INVALID");
  preview.mutable_update_mask()->clear_paths();
  preview.mutable_policy()->Clear();
  EXPECT_EQ(Reason(PreviewPolicy(*View(), preview, now_)), "MASK_REQUIRED");
}

}  // namespace
}  // namespace tollgate::service
