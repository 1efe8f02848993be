#include "service/feed/event_ring.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

storage::TailEntry Entry(int64_t revision, int events, size_t owner_bytes = 0) {
  storage::TailEntry entry;
  entry.revision = revision;
  for (int i = 0; i < events; ++i) {
    v1::Event* event = entry.events.add_events();
    event->set_index(i);
    if (owner_bytes > 0) {
      event->mutable_cohort_revoked()->set_workspace("acme");
      event->mutable_cohort_revoked()->set_owner(std::string(owner_bytes, 'o'));
    } else {
      event->mutable_token_changed()->set_workspace("acme");
      event->mutable_token_changed()->set_token_id("4mXp81QzR0aYc7Ld");
    }
  }
  return entry;
}

std::vector<int64_t> Revisions(const RingRead& read) {
  std::vector<int64_t> revisions;
  for (const SharedRevision& r : read.revisions) revisions.push_back(r->revision);
  return revisions;
}

TEST(EventRingTest, GivesWhatFollowsACursorAndMovesOverEventlessRevisions) {
  EventRing ring({}, 10);
  ASSERT_TRUE(ring.Append(Entry(11, 1)));
  ASSERT_TRUE(ring.Append(Entry(12, 0)));
  ASSERT_TRUE(ring.Append(Entry(13, 2)));
  ASSERT_TRUE(ring.Append(Entry(14, 0)));
  RingRead read = ring.After(10, 100, 1 << 20);
  EXPECT_THAT(Revisions(read), ElementsAre(11, 13));
  EXPECT_EQ(read.complete_to, 14);
  read = ring.After(11, 100, 1 << 20);
  EXPECT_THAT(Revisions(read), ElementsAre(13));
  read = ring.After(13, 100, 1 << 20);
  EXPECT_THAT(Revisions(read), IsEmpty());
  EXPECT_EQ(read.complete_to, 14);
  EXPECT_EQ(ring.After(14, 100, 1 << 20).complete_to, 14);
}

TEST(EventRingTest, AReadThatIsCutShortIsCompleteOnlyAsFarAsItGoes) {
  EventRing ring({}, 0);
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(ring.Append(Entry(i, 1)));
  ASSERT_TRUE(ring.Append(Entry(6, 0)));
  RingRead read = ring.After(0, 2, 1 << 20);
  EXPECT_THAT(Revisions(read), ElementsAre(1, 2));
  EXPECT_EQ(read.complete_to, 2);
  EXPECT_EQ(read.head, 6);
  read = ring.After(0, 100, 1);  // at least one
  EXPECT_THAT(Revisions(read), ElementsAre(1));
  EXPECT_EQ(read.complete_to, 1);
}

TEST(EventRingTest, AGapIsRefused) {
  EventRing ring({}, 0);
  EXPECT_FALSE(ring.Append(Entry(2, 1)));
  ASSERT_TRUE(ring.Append(Entry(1, 1)));
  EXPECT_FALSE(ring.Append(Entry(1, 1)));
  EXPECT_EQ(ring.head(), 1);
}

TEST(EventRingTest, DropsTheOldestByCountAndByBytesAndSaysSo) {
  EventRing::Options options;
  options.max_revisions = 3;
  EventRing by_count(options, 0);
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(by_count.Append(Entry(i, 1)));
  EXPECT_EQ(by_count.floor(), 2);
  EXPECT_TRUE(by_count.After(1, 100, 1 << 20).fell_off);
  EXPECT_FALSE(by_count.After(2, 100, 1 << 20).fell_off);
  EXPECT_THAT(Revisions(by_count.After(2, 100, 1 << 20)), ElementsAre(3, 4, 5));

  options.max_revisions = 1000;
  options.max_bytes = 10'000;
  EventRing by_bytes(options, 0);
  for (int i = 1; i <= 50; ++i) ASSERT_TRUE(by_bytes.Append(Entry(i, 1, 1000)));
  EXPECT_LE(by_bytes.bytes(), 10'000u);
  EXPECT_GT(by_bytes.floor(), 35);
  EXPECT_TRUE(by_bytes.After(by_bytes.floor() - 1, 100, 1 << 20).fell_off);
}

TEST(EventRingTest, AHugeRevisionIsSplitAndOnlyItsLastPartIsWhole) {
  const storage::TailEntry entry = Entry(7, 100, 1000);
  v1::RevisionEvents events = entry.events;
  events.set_revision(7);
  const SharedRevision revision = MakeFeedRevision(events, 10'000, nullptr);
  ASSERT_GT(revision->parts.size(), 5u);
  int seen = 0;
  for (size_t i = 0; i < revision->parts.size(); ++i) {
    EXPECT_LE(revision->parts[i]->size(), 10'000u);
    v1::FollowResponse message;
    ASSERT_TRUE(message.ParseFromString(*revision->parts[i]));
    ASSERT_THAT(message.events().revisions(), SizeIs(1));
    EXPECT_EQ(message.events().revisions(0).partial(), i + 1 < revision->parts.size());
    EXPECT_EQ(message.events().revisions(0).revision(), 7);
    for (const v1::Event& event : message.events().revisions(0).events()) {
      EXPECT_EQ(event.index(), static_cast<uint32_t>(seen++));
    }
  }
  EXPECT_EQ(seen, 100);
  EXPECT_EQ(ParseFeedRevision(*revision)->SerializeAsString(), events.SerializeAsString());
}

TEST(EventRingTest, MessagesLaidEndToEndParseAsOne) {
  EventRing ring({}, 0);
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(ring.Append(Entry(i, i)));
  std::string joined;
  for (const SharedRevision& r : ring.After(0, 10, 1 << 20).revisions) joined += *r->parts[0];
  v1::FollowResponse message;
  ASSERT_TRUE(message.ParseFromString(joined));
  ASSERT_EQ(message.events().revisions_size(), 3);
  EXPECT_EQ(message.events().revisions(2).revision(), 3);
  EXPECT_EQ(message.events().revisions(2).events_size(), 3);
}

TEST(EventRingTest, ReadersShareTheBytes) {
  EventRing ring({}, 0);
  ASSERT_TRUE(ring.Append(Entry(1, 1)));
  EXPECT_EQ(ring.After(0, 1, 1).revisions[0].get(), ring.After(0, 1, 1).revisions[0].get());
}

}  // namespace
}  // namespace tollgate::service
