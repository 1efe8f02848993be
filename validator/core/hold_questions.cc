#include "validator/core/hold_questions.h"

namespace tollgate::validator {

void HoldQuestions::Begin(const HeldToken& token, base::BootTime ends) {
  doubts_.push_back({ends, TokenId(token), token.since});
}

void HoldQuestions::Ask(HeldToken* token) {
  if (std::exchange(token->queued, true)) return;
  to_ask_.emplace_back(*token);
}

void HoldQuestions::AskAgain(HeldToken* token, base::BootTime at) {
  token->queued = true;
  ask_again_.emplace_back(at, *token);
}

void HoldQuestions::Tick(base::BootTime now) {
  while (!ask_again_.empty() && ask_again_.front().first <= now) {
    to_ask_.push_back(ask_again_.front().second);
    ask_again_.pop_front();
  }
}

HeldToken* HoldQuestions::Next() {
  while (under_way_ < most_ && !to_ask_.empty()) {
    HeldToken* const token = tokens_.Find(to_ask_.front().view());
    to_ask_.pop_front();
    if (token == nullptr || !token->queued) continue;  // nobody holds it any more
    token->queued = false;
    if (token->doubt == 0) continue;
    ++under_way_;
    return token;
  }
  taking_ = false;
  return nullptr;
}

HeldToken* HoldQuestions::First() {
  while (!doubts_.empty()) {
    HeldToken* const token = tokens_.Find(doubts_.front().token.view());
    if (token != nullptr && token->doubt != 0 && token->since == doubts_.front().since) {
      return token;
    }
    doubts_.pop_front();
  }
  return nullptr;
}

base::BootTime HoldQuestions::ask_again_at() const {
  return ask_again_.empty() ? base::BootTime::InfiniteFuture() : ask_again_.front().first;
}

void HoldQuestions::Clear() {
  doubts_.clear();
  to_ask_.clear();
  ask_again_.clear();
}

}  // namespace tollgate::validator
