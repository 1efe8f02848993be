#include "net/wire.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>

namespace tollgate::net {

grpc::ByteBuffer ToByteBuffer(const google::protobuf::MessageLite& message) {
  auto bytes = std::make_shared<std::string>();
  message.SerializeToString(bytes.get());
  return ToByteBuffer(std::shared_ptr<const std::string>(std::move(bytes)));
}

grpc::ByteBuffer ToByteBuffer(std::shared_ptr<const std::string> bytes) {
  const absl::string_view whole = *bytes;
  return ToByteBuffer(std::move(bytes), whole);
}

grpc::ByteBuffer ToByteBuffer(std::shared_ptr<const std::string> bytes, absl::string_view part) {
  using Holder = std::shared_ptr<const std::string>;
  auto* holder = new Holder(std::move(bytes));
  // gRPC drops the reference when the last copy of the slice is written.
  grpc::Slice slice(
      const_cast<char*>(part.data()), part.size(), [](void* h) { delete static_cast<Holder*>(h); },
      holder);
  return grpc::ByteBuffer(&slice, 1);
}

bool FromByteBuffer(const grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message) {
  if (!buffer.Valid()) {
    message->Clear();
    return message->IsInitialized();
  }
  grpc::ByteBuffer copy = buffer;  // the reader wants it mutable; the bytes are shared
  grpc::ProtoBufferReader reader(&copy);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

}  // namespace tollgate::net
