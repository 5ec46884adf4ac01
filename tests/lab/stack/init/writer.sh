# Transfers between accounts, one transaction after the other: the sum over all accounts stays 0, the journal has no gap.
db() { psql -q -X -h db -U app -d postgres -v ON_ERROR_STOP=1 "$@"; }
db -c 'create table if not exists account (id int primary key, balance bigint not null)' \
   -c 'create table if not exists journal (n bigint primary key, a int, b int, amount int)' \
   -c 'insert into account select i, 0 from generate_series(0, 99) i on conflict do nothing' || exit 1
while :; do
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    echo 'begin; with j as (insert into journal select n, n % 100, (n * 7 + 1) % 100, n % 1000
      from (select coalesce(max(n), 0) + 1 as n from journal) last returning *), away as (select a as id, -amount as d from j union all select b, amount from j)
      update account set balance = balance + s.d from (select id, sum(d) as d from away group by id) s where account.id = s.id; commit;'
  done | db || exit 1
  usleep 20000
done
