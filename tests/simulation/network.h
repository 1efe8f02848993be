// The network: a connection is one ordered stream each way, and may be late, cut, or half dead.
#ifndef TOLLGATE_TESTS_SIMULATION_NETWORK_H_
#define TOLLGATE_TESTS_SIMULATION_NETWORK_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "service/feed/follow_wire.h"
#include "service/feed/follower_stream.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/world.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::simulation {

class ServiceNode;

// The path between one validator's machine and the service.
struct Link {
  int64_t delay = 2 * kMillisecond;  // the mean, one way
  int64_t up_blocked_until = 0;      // until then messages up are held, and come later
  int64_t down_blocked_until = 0;
  int64_t slow_until = 0;  // the validator reads slowly
  int64_t slow_read = 0;   // the time it takes to read each message then
};

// The client's end of a stream.
class ClientEnd {
 public:
  virtual ~ClientEnd() = default;
  virtual void OnOpen(uint64_t stream, bool ok) = 0;
  virtual void OnDown(uint64_t stream, const tollgate::v1::FollowResponse& message) = 0;
  virtual void OnEnd(uint64_t stream) = 0;
};

// One Follow call. Lives in a shared_ptr. Its two ends may disagree on whether it is open.
class Connection : public service::FollowWire, public std::enable_shared_from_this<Connection> {
 public:
  Connection(World* world, Oracle* oracle, Link* link, int client_node,
             std::weak_ptr<ClientEnd> client, uint64_t stream, std::shared_ptr<ServiceNode> server,
             std::string caller);

  // The client's side.
  void Open();
  void Send(std::string bytes);
  void FinishSending();
  // The client gives the call up. The server learns that `notice` later, after the messages under
  // way, or some of them, have arrived.
  void ClientClose(int64_t notice);

  // The connection is cut. From some message on, the messages under way are lost; each end notices
  // at its own time.
  void Cut(int64_t client_notice, int64_t server_notice);
  // The server's process has died.
  void ServerDied(int64_t client_notice);

  // FollowWire.
  void WakeCall() override;
  void CloseCall(const absl::Status& status) override;
  void AbortCall(const absl::Status& status) override;
  absl::optional<base::BootTime> StalledSince() const override;
  std::string CallerName() const override { return caller_; }

  bool client_open() const { return client_open_; }
  bool dead() const { return !client_open_ && !server_open_ && !opening_; }
  const std::shared_ptr<ServiceNode>& server() const { return server_; }
  uint64_t stream() const { return stream_; }

 private:
  struct Message {
    int64_t due;
    std::string bytes;                    // up: parsed on arrival
    tollgate::v1::FollowResponse parsed;  // down: parsed once, as it was written
    bool end = false;
  };
  struct Wire {
    std::deque<Message> queue;
    int64_t last_due = 0;
    bool scheduled = false;
  };
  int64_t Delay();
  void Push(Wire* wire, Message message);
  void ScheduleUp();
  void ScheduleDown();
  void DeliverUp();
  void DeliverDown();
  void Pump();
  // Tells the server's end, once, that the call is over.
  void ServerOver();
  void ClientOver();

  World* const world_;
  Oracle* const oracle_;
  Link* const link_;
  const int client_node_;
  const std::weak_ptr<ClientEnd> client_;
  const uint64_t stream_;
  const std::shared_ptr<ServiceNode> server_;
  const std::string caller_;  // the client's name, as the transport knows it
  std::shared_ptr<service::FollowerStream> served_;
  Wire up_;
  Wire down_;
  bool opening_ = true;
  bool client_open_ = true;
  bool server_open_ = false;
  bool closing_ = false;  // the server has ended the call; queued messages still go out
  bool cut_ = false;      // nothing new gets through
  bool pump_due_ = false;
  size_t window_;
  absl::optional<base::BootTime> stalled_since_;
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_NETWORK_H_
