/*
 * The simulator's part of the determinism program.
 */
#ifndef BR_TEST_DETERMINISM_SIMULATION_H
#define BR_TEST_DETERMINISM_SIMULATION_H

/* Tells the story of a simulated cluster in several forms, prints hashes; the number of forms that differ. */
int tell_simulation(void);

#endif
