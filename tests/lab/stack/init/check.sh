# check.sh db|notes : is what the writers left whole? Prints the number of rows; anything else is a failure.
# Run inside the service's container.
case $1 in
  db)
    psql -q -X -A -t -h 127.0.0.1 -U app -d postgres -v ON_ERROR_STOP=1 -c "select case
      when (select sum(balance) from account) <> 0 then 'the accounts do not add up'
      when (select count(*) from journal) <> (select coalesce(max(n), 0) from journal) then 'the journal has a gap'
      else (select count(*)::text from journal) end"
    ;;
  notes)
    sqlite3 -cmd '.timeout 5000' /var/lib/notes/notes.db "select case
      when (select integrity_check from pragma_integrity_check limit 1) <> 'ok' then 'the file is damaged'
      when (select count(*) from note) <> (select coalesce(max(n), 0) from note) then 'the notes have a gap'
      else (select count(*) from note) end"
    ;;
esac
