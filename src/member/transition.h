/*
 * The transitions: what a claim about a member does to what we believe of it.
 *
 * A *claim* is an alive, suspect, dead or left message. Whether it moves anything depends on three things
 * alone: what is claimed, how its incarnation compares with the one we know, and the state we hold; for
 * claims about ourselves there is a table of its own. These are SWIM's precedence rules (Das et al. 2002,
 * section 4.2) as memberlist has them (docs/wire/memberlist.md, 6.3 to 6.5); addresses, conflicts and
 * filters come before the table (claims in engine/claim.c).
 */
#ifndef BR_MEMBER_TRANSITION_H
#define BR_MEMBER_TRANSITION_H

#include <bruit/member.h>

/* What is claimed: the states themselves. "Left" is a dead message whose accuser is its subject. */
enum br_relation {
    BR_OLDER, /* the claim's incarnation is below the one we know */
    BR_EQUAL,
    BR_NEWER,
};

enum br_verdict {
    BR_IGNORE,  /* nothing changes, nothing is passed on */
    BR_BECOME,  /* the member takes the claimed state and incarnation; the claim is passed on */
    BR_CONFIRM, /* one more accuser of a suspect */
    BR_REFUTE,  /* it is about us and wrong: raise our incarnation and say so */
};

enum br_relation br_relation_of(uint32_t claimed, uint32_t known);

/* What a claim about somebody else does. */
enum br_verdict br_transition(enum bruit_state claim, enum br_relation relation, enum bruit_state state);

/*
 * What a claim about ourselves does, while `leaving` or not. An alive with our own incarnation is refuted
 * when it tells other facts about us (`differs`: metadata or versions), else ignored.
 */
enum br_verdict br_transition_self(enum bruit_state claim, enum br_relation relation, enum bruit_state state,
                                   bool leaving, bool differs);

/* The invariant: may a belief move from `from` to `to` at all? */
bool br_transition_is_allowed(enum bruit_state from, enum bruit_state to);

/* The enum bruit_change bit of a move; 0 when the state stays. */
uint32_t br_transition_change(enum bruit_state from, enum bruit_state to);

#endif
