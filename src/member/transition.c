/*
 * The transitions: see transition.h. The rules are the tables; the functions only look them up.
 */
#include "member/transition.h"

#include <bruit/engine.h>

/*
 * Claims about others. Rows: what is claimed and how its incarnation compares; columns: the state we hold.
 *
 * Alive needs a newer incarnation to move anything, since only the subject raises it. Suspect and dead hold
 * from an equal one on, and a dead or left member is past suspecting; nobody dies twice, so dead never turns
 * into left nor back.
 */
static const uint8_t others[4][3][4] = {
    /*                        alive       suspect     dead        left */
    [BRUIT_ALIVE] = {[BR_OLDER] = {BR_IGNORE, BR_IGNORE, BR_IGNORE, BR_IGNORE},
                     [BR_EQUAL] = {BR_IGNORE, BR_IGNORE, BR_IGNORE, BR_IGNORE},
                     [BR_NEWER] = {BR_BECOME, BR_BECOME, BR_BECOME, BR_BECOME}},
    [BRUIT_SUSPECT] = {[BR_OLDER] = {BR_IGNORE, BR_IGNORE, BR_IGNORE, BR_IGNORE},
                       [BR_EQUAL] = {BR_BECOME, BR_CONFIRM, BR_IGNORE, BR_IGNORE},
                       [BR_NEWER] = {BR_BECOME, BR_CONFIRM, BR_IGNORE, BR_IGNORE}},
    [BRUIT_DEAD] = {[BR_OLDER] = {BR_IGNORE, BR_IGNORE, BR_IGNORE, BR_IGNORE},
                    [BR_EQUAL] = {BR_BECOME, BR_BECOME, BR_IGNORE, BR_IGNORE},
                    [BR_NEWER] = {BR_BECOME, BR_BECOME, BR_IGNORE, BR_IGNORE}},
    [BRUIT_LEFT] = {[BR_OLDER] = {BR_IGNORE, BR_IGNORE, BR_IGNORE, BR_IGNORE},
                    [BR_EQUAL] = {BR_BECOME, BR_BECOME, BR_IGNORE, BR_IGNORE},
                    [BR_NEWER] = {BR_BECOME, BR_BECOME, BR_IGNORE, BR_IGNORE}},
};

/* Which moves may ever happen; bit n of a row: to state n. A member that is forgotten has no state. */
static const uint8_t allowed[4] = {
    [BRUIT_ALIVE] = 1u << BRUIT_ALIVE | 1u << BRUIT_SUSPECT | 1u << BRUIT_DEAD | 1u << BRUIT_LEFT,
    [BRUIT_SUSPECT] = 1u << BRUIT_ALIVE | 1u << BRUIT_DEAD | 1u << BRUIT_LEFT,
    [BRUIT_DEAD] = 1u << BRUIT_ALIVE,
    [BRUIT_LEFT] = 1u << BRUIT_ALIVE,
};

/* The change that a program is told of, by the state left and the state entered. */
static const uint8_t changes[4][4] = {
    [BRUIT_ALIVE] = {0, BRUIT_CHANGE_SUSPECTED, BRUIT_CHANGE_FAILED, BRUIT_CHANGE_LEFT},
    [BRUIT_SUSPECT] = {BRUIT_CHANGE_CLEARED, 0, BRUIT_CHANGE_FAILED, BRUIT_CHANGE_LEFT},
    [BRUIT_DEAD] = {BRUIT_CHANGE_JOINED, 0, 0, 0},
    [BRUIT_LEFT] = {BRUIT_CHANGE_JOINED, 0, 0, 0},
};

enum br_relation br_relation_of(uint32_t claimed, uint32_t known)
{
    return claimed < known ? BR_OLDER : claimed == known ? BR_EQUAL : BR_NEWER;
}

enum br_verdict br_transition(enum bruit_state claim, enum br_relation relation, enum bruit_state state)
{
    return (enum br_verdict)others[claim][relation][state];
}

/*
 * About ourselves nothing older counts, and nothing at all does once we are dead or left by our own doing.
 * While leaving, a dead or left claim is our own goodbye and is carried out; every other one is a mistake.
 */
enum br_verdict br_transition_self(enum bruit_state claim, enum br_relation relation, enum bruit_state state,
                                   bool leaving, bool differs)
{
    if (relation == BR_OLDER)
        return BR_IGNORE;
    if (claim == BRUIT_ALIVE) {
        if (leaving || (relation == BR_EQUAL && !differs))
            return BR_IGNORE;
        return BR_REFUTE;
    }
    if (state == BRUIT_DEAD || state == BRUIT_LEFT)
        return BR_IGNORE;
    if (leaving)
        return claim == BRUIT_SUSPECT ? BR_IGNORE : BR_BECOME;
    return BR_REFUTE;
}

bool br_transition_is_allowed(enum bruit_state from, enum bruit_state to)
{
    return (allowed[from] >> to & 1u) != 0;
}

uint32_t br_transition_change(enum bruit_state from, enum bruit_state to)
{
    return changes[from][to];
}
