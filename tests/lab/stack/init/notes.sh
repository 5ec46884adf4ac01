# A note a moment, numbered without a gap, in SQLite's WAL mode.
db=/var/lib/notes/notes.db
sqlite3 -cmd '.timeout 5000' $db 'pragma journal_mode=wal; create table if not exists note (n integer primary key, text not null);' >/dev/null || exit 1
while :; do
  sqlite3 -cmd '.timeout 5000' $db "insert into note select n, 'note ' || n || ' ' || hex(zeroblob(200)) from (select coalesce(max(n), 0) + 1 as n from note);" || exit 1
  usleep 20000
done
