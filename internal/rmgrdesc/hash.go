package rmgrdesc

// hashDescs are hash_desc.
var hashDescs = descs{
	0x0: fixed("xl_hash_init_meta_page", 14, "num_tuples %s, fillfactor %d", float(0), u16(12)),
	0x1: fixed("xl_hash_init_bitmap_page", 2, "bmsize %d", u16(0)),
	0x2: fixed("xl_hash_insert", 2, "off %d", u16(0)),
	0x3: fixed("xl_hash_add_ovfl_page", 3, "bmsize %d, bmpage_found %s", u16(0), letter(2)),
	0x4: fixed("xl_hash_split_allocate_page", 9,
		"new_bucket %d, meta_page_masks_updated %s, issplitpoint_changed %s",
		u32(0), flag(8, 0x01, "T", "F"), flag(8, 0x02, "T", "F")),
	0x6: fixed("xl_hash_split_complete", 4, "old_bucket_flag %d, new_bucket_flag %d", u16(0), u16(2)),
	0x7: fixed("xl_hash_move_page_contents", 3, "ntups %d, is_primary %s", u16(0), letter(2)),
	0x8: fixed("xl_hash_squeeze_page", 12, "prevblkno %d, nextblkno %d, ntups %d, is_primary %s",
		u32(0), u32(4), u16(8), letter(10)),
	0x9: fixed("xl_hash_delete", 2, "clear_dead_marking %s, is_primary %s", letter(0), letter(1)),
	0xB: fixed("xl_hash_update_meta_page", 8, "ntuples %s", float(0)),
	0xC: fixed("xl_hash_vacuum_one_page", 8, "ntuples %d, latestRemovedXid %d", i32(4), u32(0)),
}
