// Package history is what transactions did, as their WAL tells it: the commit index. It turns records
// into Commits (Tracker), and Commits into the chunks that a store keeps (Encode, Decode). It knows
// relations by their storage, not by name: names are in the catalogs, as of an LSN.
//
// What counts as a row's change is a record of Heap or Heap2, as pg_walinspect counts them: a row that a
// transaction inserted and deleted counts as both, and one that an aborted subtransaction changed does not
// count for the transaction that went on. An UPDATE that moves a row to another partition is a deletion
// there and an insertion here, as it is in WAL.
package history
