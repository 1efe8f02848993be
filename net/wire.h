// Messages as bytes that gRPC writes without copying. An event is serialised once and shared.
#ifndef TOLLGATE_NET_WIRE_H_
#define TOLLGATE_NET_WIRE_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::net {

// Serialises `message`. Copies of the result share its bytes.
grpc::ByteBuffer ToByteBuffer(const google::protobuf::MessageLite& message);

// Shares bytes that are already a serialised message: `bytes` lives until gRPC has written them.
grpc::ByteBuffer ToByteBuffer(std::shared_ptr<const std::string> bytes);
// The same for a part of the bytes; `part` points into `*bytes`.
grpc::ByteBuffer ToByteBuffer(std::shared_ptr<const std::string> bytes, absl::string_view part);

// Parses; false when the bytes are not such a message. `message` is overwritten.
bool FromByteBuffer(const grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_WIRE_H_
