-- What a busy server does that pgbench does not. psql variables: round, a number.
\set ON_ERROR_STOP 1
\set ts ts :round
\set db1 da :round
\set db2 db :round
\set db3 dc :round
\set db4 dd :round
\set db5 de :round
\set logged 'strategy wal_log'
\set copied 'strategy file_copy'
select current_setting('server_version_num')::int < 150000 as before15 \gset
\if :before15
\set logged ''
\set copied ''
\endif

-- relations made, changed and dropped
create table t_plain(id int primary key, v text, w numeric);
insert into t_plain select g, repeat(md5(g::text), 3), g from generate_series(1, 3000) g;
create index on t_plain(v);
create index on t_plain(w, id) include (v);
update t_plain set w = w + 1 where id % 7 = 0;
delete from t_plain where id % 11 = 0;
vacuum t_plain;
update t_plain set v = 'x' || v where id < 200;
vacuum (freeze) t_plain;
select from t_plain where id < 300 for update;
vacuum full t_plain;
cluster t_plain using t_plain_pkey;
alter table t_plain add column z bigint default 7;
alter table t_plain alter column w type bigint;

-- the tail of a table is cut by vacuum, and grows again
create table t_tail(id int, pad text);
insert into t_tail select g, repeat('p', 500) from generate_series(1, 2000) g;
vacuum (analyze) t_tail;
delete from t_tail where id > 400;
vacuum t_tail;
insert into t_tail select g, repeat('q', 500) from generate_series(401, 800) g;

-- truncation, kept and not
begin; truncate t_tail; insert into t_tail values (1, 'one'); rollback;
begin; truncate t_tail; insert into t_tail values (1, 'one'); commit;
begin; create table t_same(a int); insert into t_same values (1); truncate t_same; insert into t_same values (2); commit;

-- creations that came to nothing
begin; create table t_never(a int primary key, b text); insert into t_never select g, 'never' from generate_series(1, 500) g; rollback;
begin; savepoint a; create table t_sub(a int); insert into t_sub values (1); rollback to a; create table t_sub(a text); commit;
drop table t_sub;

-- sequences
create sequence s1; select count(nextval('s1')) from generate_series(1, 100);
alter sequence s1 restart with 1000; select setval('s1', 5000); select nextval('s1');
create table t_serial(id bigserial primary key, v text);
insert into t_serial(v) select 'row' from generate_series(1, 200);
truncate t_serial restart identity;

-- unlogged
create unlogged table t_unlogged(id serial primary key, v text);
insert into t_unlogged(v) select repeat('u', 100) from generate_series(1, 300);
create unlogged table t_unlogged2(id int, v text); create index on t_unlogged2(v);
insert into t_unlogged2 select g, repeat('u', 100) from generate_series(1, 300) g;
alter table t_unlogged2 set logged;
create table t_tounlogged as select g as id from generate_series(1, 100) g;
alter table t_tounlogged set unlogged;
create temp table t_temp as select g from generate_series(1, 1000) g;

-- toast
create table t_toast(id int, v text); alter table t_toast alter v set storage external;
insert into t_toast select g, repeat(md5(g::text), 400) from generate_series(1, 60) g;
update t_toast set v = v || 'more' where id % 5 = 0;
delete from t_toast where id % 4 = 0;
vacuum t_toast;

-- subtransactions
create table t_sub2(a int);
do $$ begin for i in 1..400 loop begin insert into t_sub2 values (i); if i % 3 = 0 then raise exception 'no'; end if; exception when raise_exception then null; end; end loop; end $$;
begin; insert into t_sub2 values (-1); savepoint s1; insert into t_sub2 values (-2); savepoint s2; insert into t_sub2 values (-3); rollback to s1; insert into t_sub2 values (-4); release s1; commit;

-- two-phase: committed, rolled back, left, with relations made and dropped
begin; insert into t_plain values (900001, 'prepared one', 1, 1); create table t_prep(a int); insert into t_prep values (1); prepare transaction 'p1';
commit prepared 'p1';
begin; insert into t_plain values (900002, 'prepared two', 1, 1); savepoint a; create table t_prep2(a int); prepare transaction 'p2';
rollback prepared 'p2';
create table if not exists t_stay(id int primary key, v text);
begin; insert into t_stay values (10 * :round, 'stay'); savepoint q; insert into t_stay values (10 * :round + 1, 'sub'); prepare transaction :'ts';
begin; drop table t_toast; prepare transaction 'p4';
commit prepared 'p4';

-- tablespaces
create tablespace :ts location '';
create table t_ts(a int primary key) tablespace :ts;
insert into t_ts select generate_series(1, 500);
alter table t_plain set tablespace :ts;
alter index t_plain_pkey set tablespace :ts;
alter table t_plain set tablespace pg_default;

-- databases
create database :db1 :logged;
create database :db2 :copied;
create database :db3 template :db1 :copied tablespace :ts;
\c :db2
create table in_db2(a int primary key); insert into in_db2 select generate_series(1, 1000);
create unlogged table un_db2(a int primary key); insert into un_db2 values (1);
vacuum in_db2; delete from in_db2 where a < 10;
vacuum full pg_class;
\c postgres
create database :db4 template :db2 :logged;
create database :db5 template :db2 :copied;
alter database :db2 set tablespace :ts;
drop database :db1;
drop database :db3;
alter database :db2 set tablespace pg_default;
drop database :db5;
vacuum full pg_class; reindex table pg_attribute; vacuum full pg_proc;

-- large objects
select lo_from_bytea(0, decode(repeat('ab', 6000), 'hex'));
checkpoint;

-- the next round makes the same names again
drop table t_ts;
drop table t_plain, t_tail, t_same, t_serial, t_unlogged, t_sub2, t_prep, t_unlogged2, t_tounlogged;
drop database :db2;
drop database :db4;
drop sequence s1;
drop tablespace :ts;
