#include "cli/commands/events_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/proto_time.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using tollgate::v1::RevisionChange;
using tollgate::v1::RevisionEvents;

RevisionChange* Add(const char* action, RevisionEvents* revision) {
  RevisionChange* change = revision->add_changes();
  change->set_action(action);
  change->set_resource("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  change->set_label("CI deploy key");
  change->set_actor("local");
  *change->mutable_time() = base::ToProto(absl::FromUnixSeconds(1'800'000'000));
  return change;
}

TEST(RevisionText, SaysWhichTokenWhatWhenAndWho) {
  RevisionEvents revision;
  revision.set_revision(184);
  Add("token.revoke", &revision)->set_reason("in a public gist");
  (*Add("token.rotate", &revision)->mutable_details())["replaced_by"] =
      "workspaces/acme/tokens/9sVb02KqT5eWx1Nf";
  EXPECT_EQ(RevisionText(revision),
            "184  2027-01-15 08:00:00 UTC  revoked    workspaces/acme/tokens/4mXp81QzR0aYc7Ld  "
            "\"CI deploy key\"  by local: in a public gist\n"
            "184  2027-01-15 08:00:00 UTC  rotated    workspaces/acme/tokens/4mXp81QzR0aYc7Ld  "
            "\"CI deploy key\"  replaced by 9sVb02KqT5eWx1Nf  by local\n");
}

TEST(RevisionText, CountsWhatACohortHit) {
  RevisionEvents revision;
  revision.set_revision(201);
  RevisionChange* change = Add("cohort.revoke", &revision);
  change->set_resource("workspaces/acme");
  change->clear_label();
  (*change->mutable_details())["owner"] = "team-payments";
  (*change->mutable_details())["token_count"] = "312";
  EXPECT_THAT(RevisionText(revision),
              HasSubstr("all revoked  workspaces/acme  owner team-payments, 312 tokens  by local"));
}

TEST(RevisionText, ShowsWhatItDoesNotKnowAsItIs) {
  RevisionEvents revision;
  revision.set_revision(5);
  Add("token.levitate", &revision)->set_label("\x1b[2J");
  EXPECT_THAT(RevisionText(revision), HasSubstr("token.levitate"));
  EXPECT_THAT(RevisionText(revision), Not(HasSubstr("\x1b")));
  revision.set_changes_left_out(7);
  EXPECT_THAT(RevisionText(revision), HasSubstr("5  … and 7 more: tollgate audit list --from 5\n"));
}

// As a service of before tells it.
TEST(RevisionText, WithoutChangesShowsTheEvents) {
  RevisionEvents revision;
  revision.set_revision(5);
  revision.add_events()->mutable_token_created()->set_token_id("4mXp81QzR0aYc7Ld");
  revision.add_events();
  const std::string text = RevisionText(revision);
  EXPECT_THAT(text, HasSubstr("5  token created"));
  EXPECT_THAT(text, HasSubstr("5  an event of a kind that this version does not know\n"));
}

}  // namespace
}  // namespace tollgate::cli
