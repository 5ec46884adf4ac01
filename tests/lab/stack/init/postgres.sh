# The database, as its upstream image starts it: own account, mode 0700, checksums on.
set -e
data=/var/lib/postgresql/data
mkdir -p /run/postgresql
chown 999:999 $data /run/postgresql
chmod 700 $data
as() { /usr/bin/setpriv --reuid=999 --regid=999 --clear-groups "$@"; }
if [ ! -s $data/PG_VERSION ]; then
  as initdb -D $data -U app --locale=C.UTF-8 -E UTF8 -A trust --data-checksums --no-sync >/dev/null
  printf "listen_addresses='*'\njit=off\nunix_socket_directories='/run/postgresql'\n" >>$data/postgresql.conf
  echo 'host all all all trust' >>$data/pg_hba.conf
fi
exec /usr/bin/setpriv --reuid=999 --regid=999 --clear-groups postgres -D $data
