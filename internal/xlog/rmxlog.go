package xlog

// The operations of RM_XLOG (catalog/pg_control.h).
const xlogSwitch = 0x40
