#include "service/feed/event_ring.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {
namespace {

using tollgate::v1::Event;
using tollgate::v1::FollowResponse;
using tollgate::v1::RevisionEvents;

// A field's tag and length, for each level of nesting: generous.
constexpr size_t kEventOverhead = 8;

void AddPart(FollowResponse* message, FeedRevision* revision) {
  auto bytes = std::make_shared<std::string>(message->SerializeAsString());
  revision->bytes += bytes->size();
  revision->parts.push_back(std::move(bytes));
}

}  // namespace

SharedRevision MakeFeedRevision(const RevisionEvents& events, size_t max_part_bytes,
                                const tollgate::v1::Proof* proof) {
  auto revision = std::make_shared<FeedRevision>();
  revision->revision = events.revision();
  FollowResponse message;
  RevisionEvents* part = message.mutable_events()->add_revisions();
  part->set_revision(events.revision());
  size_t size = 0;
  for (const Event& event : events.events()) {
    const size_t event_size = event.ByteSizeLong() + kEventOverhead;
    if (size > 0 && size + event_size > max_part_bytes) {
      part->set_partial(true);
      AddPart(&message, revision.get());
      part->clear_events();
      part->clear_partial();
      size = 0;
    }
    *part->add_events() = event;
    size += event_size;
  }
  if (proof != nullptr) *message.mutable_events()->mutable_proof() = *proof;
  AddPart(&message, revision.get());
  return revision;
}

absl::StatusOr<RevisionEvents> ParseFeedRevision(const FeedRevision& revision) {
  RevisionEvents whole;
  whole.set_revision(revision.revision);
  for (const SharedBytes& bytes : revision.parts) {
    FollowResponse message;
    if (!message.ParseFromString(*bytes)) {
      return absl::DataLossError("a revision of the ring cannot be parsed");
    }
    for (RevisionEvents& part : *message.mutable_events()->mutable_revisions()) {
      for (Event& event : *part.mutable_events()) *whole.add_events() = std::move(event);
    }
  }
  return whole;
}

EventRing::EventRing(Options options, int64_t floor)
    : options_(options), floor_(floor), head_(floor) {}

bool EventRing::Append(const storage::TailEntry& entry) {
  // Serialised before the lock is taken, because all streams read under the lock.
  SharedRevision revision;
  if (entry.events.events_size() > 0) {
    RevisionEvents events = entry.events;
    events.set_revision(entry.revision);
    absl::optional<tollgate::v1::Proof> proof;
    if (options_.proofs != nullptr && !entry.fingerprint.empty()) {
      proof = options_.proofs->ProofOf(entry.revision, entry.fingerprint);
    }
    revision = MakeFeedRevision(events, options_.max_part_bytes, proof ? &*proof : nullptr);
  }
  std::vector<SharedRevision> dropped;  // freed after the lock
  absl::MutexLock lock(&mu_);
  if (entry.revision != head_ + 1) return false;
  head_ = entry.revision;
  fingerprints_.push_back(entry.fingerprint);
  if (fingerprints_.size() > options_.max_fingerprints) fingerprints_.pop_front();
  if (revision == nullptr) return true;
  bytes_ += revision->bytes;
  revisions_.push_back(std::move(revision));
  while (revisions_.size() > 1 &&
         (revisions_.size() > options_.max_revisions || bytes_ > options_.max_bytes)) {
    floor_ = revisions_.front()->revision;
    bytes_ -= revisions_.front()->bytes;
    dropped.push_back(std::move(revisions_.front()));
    revisions_.pop_front();
  }
  return true;
}

RingRead EventRing::After(int64_t cursor, size_t max_revisions, size_t max_bytes) const {
  RingRead read;
  absl::MutexLock lock(&mu_);
  read.head = head_;
  if (cursor < floor_) {
    read.fell_off = true;
    return read;
  }
  auto it = std::upper_bound(
      revisions_.begin(), revisions_.end(), cursor,
      [](int64_t after, const SharedRevision& revision) { return after < revision->revision; });
  size_t bytes = 0;
  for (; it != revisions_.end() && read.revisions.size() < max_revisions; ++it) {
    if (!read.revisions.empty() && bytes + (*it)->bytes > max_bytes) break;
    bytes += (*it)->bytes;
    read.revisions.push_back(*it);
  }
  // A cursor beyond the head stays where it is, because nothing here vouches for it.
  read.complete_to = it == revisions_.end()   ? std::max(head_, cursor)
                     : read.revisions.empty() ? cursor
                                              : read.revisions.back()->revision;
  return read;
}

int64_t EventRing::head() const {
  absl::MutexLock lock(&mu_);
  return head_;
}

int64_t EventRing::floor() const {
  absl::MutexLock lock(&mu_);
  return floor_;
}

absl::optional<std::string> EventRing::FingerprintOf(int64_t revision) const {
  absl::MutexLock lock(&mu_);
  const int64_t oldest = head_ - static_cast<int64_t>(fingerprints_.size()) + 1;
  if (revision < oldest || revision > head_) return absl::nullopt;
  const std::string& found = fingerprints_[static_cast<size_t>(revision - oldest)];
  return found.empty() ? absl::nullopt : absl::make_optional(found);
}

size_t EventRing::bytes() const {
  absl::MutexLock lock(&mu_);
  return bytes_;
}

size_t EventRing::size() const {
  absl::MutexLock lock(&mu_);
  return revisions_.size();
}

}  // namespace tollgate::service
