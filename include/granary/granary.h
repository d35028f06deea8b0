/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole public interface. Each header says how long it stays: of a stable one nothing changes
 * for programs that are built already as long as the library's SOVERSION stays the same; an
 * internal one may change with any release.
 *
 * Interface: stable.
 */
#ifndef GRANARY_GRANARY_H
#define GRANARY_GRANARY_H

#include <granary/audit.h>
#include <granary/base.h>
#include <granary/cohort.h>
#include <granary/comm.h>
#include <granary/config.h>
#include <granary/data.h>
#include <granary/evaluate.h>
#include <granary/federation.h>
#include <granary/journal.h>
#include <granary/metric.h>
#include <granary/model.h>
#include <granary/observe.h>
#include <granary/policy.h>
#include <granary/post.h>
#include <granary/release.h>
#include <granary/slices.h>
#include <granary/store.h>
#include <granary/strategy.h>
#include <granary/study.h>
#include <granary/study_state.h>
#include <granary/train.h>
#include <granary/watch.h>

#endif
