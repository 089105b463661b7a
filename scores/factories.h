// One factory a method; scores/score.cpp has the table. Private to scores/.
#pragma once

#include <memory>

#include "scores/fit.h"
#include "scores/score.h"

namespace gs {

std::unique_ptr<Score> make_msp(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_max_logit(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_energy(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_odin(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_gradnorm(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_gaia_z(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_gaia_a(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_nac(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Score> make_mahalanobis(const MethodSpec& spec, const ScoreContext& context);

std::unique_ptr<Fit> make_nac_fit(const MethodSpec& spec, const ScoreContext& context);
FitState merge_nac(std::span<const FitState> shards);
std::unique_ptr<Score> make_klm(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Fit> make_klm_fit(const MethodSpec& spec, const ScoreContext& context);
FitState merge_klm(std::span<const FitState> shards);
std::unique_ptr<Score> make_mos(const MethodSpec& spec, const ScoreContext& context);

std::unique_ptr<Fit> make_mahalanobis_fit(const MethodSpec& spec, const ScoreContext& context);
FitState merge_mahalanobis(std::span<const FitState> shards);
std::vector<std::string> complete_mahalanobis(FitState& state);
std::unique_ptr<Score> make_track(const MethodSpec& spec, const ScoreContext& context);
std::unique_ptr<Fit> make_track_fit(const MethodSpec& spec, const ScoreContext& context);
FitState merge_track(std::span<const FitState> shards);

}  // namespace gs
