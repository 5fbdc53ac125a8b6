/*
 * An extension with a resource manager of its own. stamp(relation, block, offset, value) overwrites one
 * byte of a page, and logs that by a record that only this library can replay.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogutils.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;

typedef struct
{
	uint16		offset;
	uint8		value;
} Stamp;

static void
stamp_redo(XLogReaderState *record)
{
	Stamp	   *s = (Stamp *) XLogRecGetData(record);
	Buffer		buffer;

	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);

		((uint8 *) page)[s->offset] = s->value;
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

static void
stamp_desc(StringInfo buf, XLogReaderState *record)
{
	appendStringInfoString(buf, "stamp");
}

static const char *
stamp_identify(uint8 info)
{
	return "STAMP";
}

static const RmgrData stamp_rmgr = {
	.rm_name = "stamp",
	.rm_redo = stamp_redo,
	.rm_desc = stamp_desc,
	.rm_identify = stamp_identify,
};

void
_PG_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		RegisterCustomRmgr(RM_EXPERIMENTAL_ID, &stamp_rmgr);
}

PG_FUNCTION_INFO_V1(stamp);

Datum
stamp(PG_FUNCTION_ARGS)
{
	Relation	rel = relation_open(PG_GETARG_OID(0), RowExclusiveLock);
	Buffer		buffer = ReadBuffer(rel, PG_GETARG_INT32(1));
	Page		page = BufferGetPage(buffer);
	Stamp		s = {.offset = PG_GETARG_INT32(2), .value = PG_GETARG_INT32(3)};
	XLogRecPtr	lsn;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	START_CRIT_SECTION();
	((uint8 *) page)[s.offset] = s.value;
	MarkBufferDirty(buffer);
	XLogBeginInsert();
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
	XLogRegisterData((char *) &s, sizeof(s));
	lsn = XLogInsert(RM_EXPERIMENTAL_ID, 0);
	PageSetLSN(page, lsn);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	relation_close(rel, RowExclusiveLock);
	PG_RETURN_VOID();
}
