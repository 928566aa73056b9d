/* All of libbruit's core in one include. */
#ifndef BRUIT_H
#define BRUIT_H

#include <bruit/aggregate.h>
#include <bruit/cipher.h>
#include <bruit/config.h>
#include <bruit/coord.h>
#include <bruit/conflict.h>
#include <bruit/engine.h>
#include <bruit/env.h>
#include <bruit/error.h>
#include <bruit/event.h>
#include <bruit/heartbeat.h>
#include <bruit/keys.h>
#include <bruit/kv.h>
#include <bruit/member.h>
#include <bruit/module.h>
#include <bruit/owner.h>
#include <bruit/query.h>
#include <bruit/stats.h>
#include <bruit/status.h>
#include <bruit/trace.h>
#include <bruit/types.h>
#include <bruit/wire.h>

#endif
