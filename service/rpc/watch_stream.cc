#include "service/rpc/watch_stream.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/status.h"
#include "net/wire.h"
#include "service/reads/read_changes.h"
#include "service/rpc/rpc_call.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "tollgate/v1/event.pb.h"

namespace tollgate::service {
namespace {

using tollgate::v1::Event;
using tollgate::v1::RevisionEvents;

absl::string_view WorkspaceOf(const Event& event) {
  switch (event.subject_case()) {
    case Event::kTokenChanged:
      return event.token_changed().workspace();
    case Event::kTokenCreated:
      return event.token_created().workspace();
    case Event::kCohortRevoked:
      return event.cohort_revoked().workspace();
    case Event::kWorkspaceChanged:
      return event.workspace_changed().workspace();
    case Event::kAccessChanged:  // of no workspace
    case Event::SUBJECT_NOT_SET:
      break;
  }
  return "";
}

// What waits for a slow client at most (I5), but at least one revision: with what happened it is
// larger than the feed's.
constexpr size_t kMostQueuedBytes = size_t{4} << 20;

const std::string& OperatorsName() {
  static const std::string& name =
      *new std::string(token::WorkspaceName(token::kOperatorWorkspace));
  return name;
}

// Takes out what is of the service itself, and no workspace's that a role can name.
void LeaveServiceOut(RevisionEvents* revision) {
  auto& events = *revision->mutable_events();
  events.erase(std::remove_if(events.begin(), events.end(),
                              [](const Event& event) {
                                return event.has_access_changed() ||
                                       WorkspaceOf(event) == token::kOperatorWorkspace;
                              }),
               events.end());
  auto& changes = *revision->mutable_changes();
  changes.erase(std::remove_if(changes.begin(), changes.end(),
                               [](const tollgate::v1::RevisionChange& change) {
                                 return !absl::StartsWith(change.resource(), "workspaces/") ||
                                        absl::StartsWith(change.resource(), OperatorsName());
                               }),
                changes.end());
}

// Keeps the events of one workspace, and those of kinds that this build does not know.
void KeepOnly(absl::string_view workspace, RevisionEvents* revision) {
  RevisionEvents kept;
  kept.set_revision(revision->revision());
  for (Event& event : *revision->mutable_events()) {
    if (event.subject_case() == Event::SUBJECT_NOT_SET || WorkspaceOf(event) == workspace) {
      *kept.add_events() = std::move(event);
    }
  }
  *revision = std::move(kept);
}

}  // namespace

absl::Status WatchStream::Subscribe(Hub* hub, int64_t after) {
  std::weak_ptr<WriteStream<grpc::ByteBuffer>> weak = weak_from_this();
  absl::StatusOr<std::unique_ptr<FeedReader>> reader = hub->Subscribe(after, [weak] {
    if (auto self = weak.lock()) static_cast<WatchStream*>(self.get())->ReadOn();
  });
  if (!reader.ok()) return reader.status();
  {
    absl::MutexLock lock(&mu_);
    reader_ = *std::move(reader);
  }
  ReadOn();
  return absl::OkStatus();
}

void WatchStream::Judge() {
  if (!options_.may_watch) return;
  const absl::Status may = options_.may_watch();
  if (!may.ok()) Close(may);
}

bool WatchStream::NextToWrite(grpc::ByteBuffer* out) {
  // Asked before each message: nothing that was committed after a withdrawal is shown.
  if (options_.may_watch) {
    const absl::Status may = options_.may_watch();
    if (!may.ok()) {
      Close(may);
      return false;
    }
  }
  {
    absl::MutexLock lock(&mu_);
    if (!queue_.empty()) {
      *out = queue_.front();  // shares the slices
      queue_.pop_front();
      return true;
    }
  }
  ReadOn();
  return false;
}

void WatchStream::ReadOn() {
  {
    absl::MutexLock lock(&mu_);
    if (ended_ || (reader_ == nullptr && !reading_)) return;
    if (reading_ || !queue_.empty()) {
      woken_ = true;
      return;
    }
    reading_ = true;
    woken_ = false;
  }
  auto self = std::static_pointer_cast<WatchStream>(shared_from_this());
  if (options_.executor->Submit([self] { self->Read(); })) return;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
  }
  Close(Overloaded("too many reads are waiting"));
}

void WatchStream::Read() {
  FeedReader* reader;
  std::deque<SharedRevision> unshown;
  {
    absl::MutexLock lock(&mu_);
    reader = reader_.get();
    unshown.swap(unshown_);
  }
  absl::Status failed;
  bool got = false;
  std::vector<grpc::ByteBuffer> out;
  const auto read = [&]() -> absl::Status {
    if (unshown.empty()) {
      ASSIGN_OR_RETURN(const std::vector<SharedRevision> revisions,
                       reader->Read(options_.max_queued));
      unshown.assign(revisions.begin(), revisions.end());
    }
    if (unshown.empty()) return absl::OkStatus();
    got = true;
    // After the feed was read: whoever may no longer see it is shown none of what was committed
    // after that.
    const bool tells_of_service = !options_.tells_of_service || options_.tells_of_service();
    // Of after the feed was read, so it has every revision of that.
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     options_.engine->NewSnapshot());
    size_t bytes = 0;
    int64_t from_revision = 0;
    if (options_.as_it_is && options_.as_it_is()) {
      ASSIGN_OR_RETURN(const auto there,
                       storage::GetRecord<store::v1::WorkspaceRecord>(
                           *snapshot, storage::Table::kWorkspaces, options_.workspace));
      from_revision =
          there.has_value() ? there->create_revision() : std::numeric_limits<int64_t>::max();
    }
    for (; !unshown.empty() && bytes < kMostQueuedBytes; unshown.pop_front()) {
      ASSIGN_OR_RETURN(RevisionEvents events, ParseFeedRevision(*unshown.front()));
      if (!options_.workspace.empty()) KeepOnly(options_.workspace, &events);
      if (events.events_size() == 0 || events.revision() < from_revision) continue;
      events.set_epoch(options_.epoch);
      RETURN_IF_ERROR(AddChanges(*snapshot, options_.workspace, &events));
      if (!tells_of_service) LeaveServiceOut(&events);
      if (events.events_size() == 0) continue;
      out.push_back(net::ToByteBuffer(events));
      bytes += out.back().Length();
    }
    return absl::OkStatus();
  };
  failed = read();
  const bool nothing_for_us = got && out.empty();
  const bool has_out = !out.empty();
  bool again;
  std::unique_ptr<FeedReader> dropped;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    unshown_.swap(unshown);
    again = woken_ || nothing_for_us;
    for (grpc::ByteBuffer& one : out) queue_.push_back(std::move(one));
    if (ended_) dropped = std::move(reader_);
  }
  if (!failed.ok()) {
    Close(failed);
    return;
  }
  if (has_out) Wake();
  if (again) ReadOn();
}

void WatchStream::OnEnded() {
  std::unique_ptr<FeedReader> dropped;  // outside the lock: it may wait for a wake-up under way
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    queue_.clear();
    if (!reading_) dropped = std::move(reader_);
  }
  if (options_.on_ended) options_.on_ended();
}

}  // namespace tollgate::service
