// Requests as bytes. gRPC 1.51 answers a request that it cannot parse with a bare UNIMPLEMENTED,
// which blames the method for the caller's mistake; the services therefore take bytes, and parse
// them here.
#ifndef TOLLGATE_SERVICE_RPC_REQUEST_BYTES_H_
#define TOLLGATE_SERVICE_RPC_REQUEST_BYTES_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"

namespace tollgate::service {

// Parses a request. INVALID_ARGUMENT: NOT_UTF8 with the path of the string field that is not UTF-8
// (as in `token.label`); MALFORMED_REQUEST for bytes that are not such a message.
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* request);

// Puts a response into bytes.
void WriteResponse(const google::protobuf::Message& response, grpc::ByteBuffer* bytes);

// The same for a response that may hold a secret: its bytes are wiped when the transport releases
// them.
void WriteSecretResponse(const google::protobuf::Message& response, grpc::ByteBuffer* bytes);

// Memory for a secret's bytes, as gRPC's slices hold them. The bytes are wiped, and then
// `free_bytes` releases the memory; it is a parameter for tests.
grpc::Slice SecretSlice(size_t size, void (*free_bytes)(uint8_t* bytes, size_t size));

// Overwrites the bytes of a request that held a secret, in the transport's own buffer.
void WipeRequest(const grpc::ByteBuffer& bytes);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_REQUEST_BYTES_H_
