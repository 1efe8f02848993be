#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/service_node.h"

namespace tollgate::simulation {

Connection::Connection(World* world, Oracle* oracle, Link* link, int client_node,
                       std::weak_ptr<ClientEnd> client, uint64_t stream,
                       std::shared_ptr<ServiceNode> server, std::string caller)
    : world_(world),
      oracle_(oracle),
      link_(link),
      client_node_(client_node),
      client_(std::move(client)),
      stream_(stream),
      server_(std::move(server)),
      caller_(std::move(caller)),
      window_(1 + world->rng().Uniform(3)) {}

int64_t Connection::Delay() {
  int64_t delay = world_->Exponential(link_->delay) + 20'000;
  if (world_->Chance(0.02)) delay += world_->Exponential(40 * link_->delay);
  return delay;
}

void Connection::Open() {
  const int64_t arrives = std::max(world_->now(), link_->up_blocked_until) + Delay();
  world_->At(arrives, server_->node(), [self = shared_from_this()] {
    self->opening_ = false;
    bool ok = self->client_open_ && !self->cut_ && self->server_->serving();
    if (ok) {
      absl::StatusOr<std::shared_ptr<service::FollowerStream>> stream =
          self->server_->Connect(self);
      ok = stream.ok();
      if (ok) {
        self->served_ = *std::move(stream);
        self->server_open_ = true;
      }
    }
    if (!ok) self->cut_ = true;
    const int64_t back =
        std::max(self->world_->now(), self->link_->down_blocked_until) + self->Delay();
    self->world_->At(back, self->client_node_, [self, ok] {
      if (!self->client_open_) return;
      if (!ok) self->client_open_ = false;
      if (auto client = self->client_.lock()) client->OnOpen(self->stream_, ok);
    });
  });
}

void Connection::Push(Wire* wire, Message message) {
  wire->last_due = std::max(wire->last_due + 1, message.due);
  message.due = wire->last_due;
  wire->queue.push_back(std::move(message));
}

void Connection::Send(std::string bytes) {
  if (!client_open_ || cut_) return;
  oracle_->CheckBytes(bytes, "a message to the service");
  Push(&up_, {world_->now() + Delay(), std::move(bytes), {}});
  ScheduleUp();
}

void Connection::FinishSending() {
  if (!client_open_ || cut_) return;
  Push(&up_, {world_->now() + Delay(), "", {}, true});
  ScheduleUp();
}

void Connection::ScheduleUp() {
  if (up_.scheduled || up_.queue.empty()) return;
  up_.scheduled = true;
  world_->At(std::max(up_.queue.front().due, link_->up_blocked_until), server_->node(),
             [self = shared_from_this()] { self->DeliverUp(); });
}

void Connection::DeliverUp() {
  up_.scheduled = false;
  if (!server_open_ || up_.queue.empty()) {
    up_.queue.clear();
    return;
  }
  if (std::max(up_.queue.front().due, link_->up_blocked_until) <= world_->now()) {
    const Message message = std::move(up_.queue.front());
    up_.queue.pop_front();
    tollgate::v1::FollowRequest request;
    const std::shared_ptr<service::FollowerStream> served = served_;
    if (message.end) {
      served->OnReadsDone();
    } else if (request.ParseFromString(message.bytes)) {
      served->OnRequest(request);
    } else {
      served->OnGarbage();
    }
    server_->AfterStep();
  }
  ScheduleUp();
}

void Connection::WakeCall() {
  if (pump_due_ || !server_open_) return;
  pump_due_ = true;
  world_->After(world_->Between(1000, kMillisecond), server_->node(), [self = shared_from_this()] {
    self->pump_due_ = false;
    self->Pump();
  });
}

void Connection::Pump() {
  while (server_open_ && !closing_ && down_.queue.size() < window_) {
    std::vector<service::SharedBytes> pieces;
    if (!served_->NextToWrite(&pieces)) break;
    std::string bytes;
    for (const service::SharedBytes& piece : pieces) bytes += *piece;
    oracle_->CheckBytes(bytes, "a message of the feed");
    tollgate::v1::FollowResponse message;
    if (!message.ParseFromString(bytes)) {
      return world_->Break("wire", "a message cannot be parsed");
    }
    server_->CheckWritten(message);
    if (cut_) continue;  // accepted by the machine, and never arrives
    int64_t due = world_->now() + Delay();
    if (link_->slow_until > world_->now()) {
      due = std::max(due, down_.last_due) + world_->Exponential(link_->slow_read);
    }
    Push(&down_, {due, "", std::move(message)});
  }
  if (down_.queue.size() >= window_) {
    if (!stalled_since_.has_value()) stalled_since_ = server_->clock().Now();
  } else {
    stalled_since_.reset();
  }
  ScheduleDown();
}

void Connection::ScheduleDown() {
  if (down_.scheduled || down_.queue.empty()) return;
  down_.scheduled = true;
  world_->At(std::max(down_.queue.front().due, link_->down_blocked_until), client_node_,
             [self = shared_from_this()] { self->DeliverDown(); });
}

void Connection::DeliverDown() {
  down_.scheduled = false;
  if (down_.queue.empty()) return;
  if (std::max(down_.queue.front().due, link_->down_blocked_until) <= world_->now()) {
    const Message message = std::move(down_.queue.front());
    down_.queue.pop_front();
    if (message.end) {
      ClientOver();
    } else if (auto client = client_.lock()) {
      // A client that has given the stream up must not be moved by messages that still come.
      client->OnDown(stream_, message.parsed);
    }
    if (server_open_ && down_.queue.size() < window_) WakeCall();
  }
  ScheduleDown();
}

void Connection::ClientOver() {
  if (!client_open_) return;
  client_open_ = false;
  if (auto client = client_.lock()) client->OnEnd(stream_);
}

void Connection::ServerOver() {
  if (!server_open_) return;
  server_open_ = false;
  const std::shared_ptr<service::FollowerStream> served = std::move(served_);
  served_ = nullptr;
  served->OnClosed();
  server_->AfterStep();
}

void Connection::CloseCall(const absl::Status&) {
  if (closing_ || !server_open_) return;
  closing_ = true;
  if (!cut_) {
    Push(&down_, {world_->now() + Delay(), "", {}, true});
    ScheduleDown();
  }
  world_->After(world_->Between(1000, kMillisecond), server_->node(),
                [self = shared_from_this()] { self->ServerOver(); });
}

void Connection::AbortCall(const absl::Status&) {
  if (!server_open_) return;
  closing_ = true;
  if (!cut_) {
    while (down_.queue.size() > 1) down_.queue.pop_back();
    Push(&down_, {world_->now() + Delay(), "", {}, true});
    ScheduleDown();
  }
  world_->After(1000, server_->node(), [self = shared_from_this()] { self->ServerOver(); });
}

absl::optional<base::BootTime> Connection::StalledSince() const { return stalled_since_; }

void Connection::ClientClose(int64_t notice) {
  if (!client_open_) return;
  client_open_ = false;
  world_->After(notice, server_->node(), [self = shared_from_this()] { self->ServerOver(); });
}

void Connection::Cut(int64_t client_notice, int64_t server_notice) {
  if (cut_) return;
  cut_ = true;
  for (Wire* wire : {&up_, &down_}) {
    const size_t kept = wire->queue.empty() ? 0 : world_->rng().Uniform(wire->queue.size() + 1);
    while (wire->queue.size() > kept) wire->queue.pop_back();
    // Messages under way may still arrive much later, at an end that does not know of the cut.
    int64_t late = 0;
    for (Message& message : wire->queue) {
      if (world_->Chance(0.3)) late += world_->Between(0, 2 * kSecond);
      message.due += late;
    }
  }
  auto self = shared_from_this();
  world_->After(client_notice, client_node_, [self] { self->ClientOver(); });
  world_->After(server_notice, server_->node(), [self] { self->ServerOver(); });
}

void Connection::ServerDied(int64_t client_notice) {
  server_open_ = false;
  served_ = nullptr;
  cut_ = true;
  up_.queue.clear();
  const size_t kept = down_.queue.empty() ? 0 : world_->rng().Uniform(down_.queue.size() + 1);
  while (down_.queue.size() > kept) down_.queue.pop_back();
  world_->After(client_notice, client_node_, [self = shared_from_this()] { self->ClientOver(); });
}

}  // namespace tollgate::simulation
