//! Where there is no launchd: the same alarm clock as a systemd user timer, for a person to put in place.

use super::Job;

/// What to do on a system with systemd.
pub(super) fn hint(job: &Job) -> String {
    let quote = |path: &std::path::Path| {
        format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
    };
    let config = job.config.as_deref().map(|path| format!(" --config {}", quote(path))).unwrap_or_default();
    format!(
        "\
# There is no launchd here. With systemd, write these two files below ~/.config/systemd/user/, then run
#   systemctl --user enable --now offsite.timer && loginctl enable-linger

# offsite.service
[Unit]
Description=offsite: pull, keep, push

[Service]
Type=oneshot
ExecStart={program}{config} daemon

# offsite.timer
[Unit]
Description=offsite: every day at {at}, and every hour in case something was not there

[Timer]
OnCalendar=*-*-* {at}:00
OnStartupSec=1min
OnUnitInactiveSec=1h
Persistent=true

[Install]
WantedBy=timers.target
",
        program = quote(&job.program),
        at = job.at,
    )
}
