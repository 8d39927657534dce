# Processes, sockets, files and signals by perl.
use strict; use warnings; use Socket; use Fcntl ':flock'; use POSIX ':sys_wait_h'; use IO::Select; use IO::Handle; use File::Temp 'tempfile'; use Time::HiRes qw(sleep alarm); use IPC::Open3;
$| = 1;
print "== pipes and forks\n";
my $pid = open(my $child, '-|') // die; if (!$pid) { print "line $_\n" for 1 .. 3; exit 4 }
print while <$child>; close $child; print $? >> 8, "\n";
print `echo from sh; exit 3`, $? >> 8, "\n"; system('kill -TERM $$'); print $? & 127, "\n";
my %exits; for my $i (1 .. 5) { my $p = fork; if (!$p) { exit $i } $exits{$p} = $i }
my $right = 0; while ((my $p = wait) > 0) { $right++ if $exits{$p} == $? >> 8 } print "$right of 5\n";
my $p3 = open3(my $in, my $out, undef, 'tr a-z A-Z'); print $in "shout\n"; close $in; print <$out>; waitpid $p3, 0;
print "== sockets\n";
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die; $_->autoflush(1) for $a, $b;
if (!fork) { close $a; while (<$b>) { print $b scalar reverse } exit } close $b;
print $a "abc\n"; shutdown $a, 1; my $got = join '', <$a>; $got =~ s/\n//; print "$got\n"; wait;
socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind $s, pack_sockaddr_un('s.sock') or die $!; listen $s, 5;
if (!fork) { socket(my $c, AF_UNIX, SOCK_STREAM, 0); connect $c, pack_sockaddr_un('s.sock') or die $!; syswrite $c, "hello"; exit }
accept(my $c, $s); print "ready\n" if IO::Select->new($c)->can_read(2); sysread $c, my $text, 100; print "$text\n"; wait;
print "== signals\n";
my $n = 0; $SIG{ALRM} = sub { $n++ }; alarm 0.05; select undef, undef, undef, 1 while !$n; print "$n\n";
$SIG{CHLD} = sub { while (waitpid(-1, WNOHANG) > 0) { $n++ } }; for (1 .. 10) { fork || exit } my $end = time + 10; sleep 0.02 while $n < 11 && time < $end; print "$n\n";
eval { local $SIG{__DIE__}; local $SIG{ALRM} = sub { die "late\n" }; alarm 0.05; sleep 5; }; print $@;
print "== files\n";
my ($fh, $name) = tempfile(DIR => '.'); print $fh "$_\n" for 1 .. 1000; close $fh; print -s $name, "\n";
open my $f, '+<', $name; flock $f, LOCK_EX; if (!fork) { open my $g, '+<', $name; print flock($g, LOCK_EX | LOCK_NB) ? "locked\n" : "busy\n"; exit } wait;
seek $f, 10, 0; print scalar <$f>; truncate $f, 20; print -s $f, ' ', join(',', map { sprintf '%o', $_ } (stat $f)[2]), "\n";
mkdir 'd'; symlink 'd', 'l'; rename 'd', 'e'; print -e 'l' ? 'is' : 'dangles', ' ', readlink('l'), "\n"; utime 1, 2, $name; print((stat $name)[9], "\n");
opendir my $d, '.'; print join(' ', sort grep { !/^\.|^[A-Za-z0-9_]{10}$/ } readdir $d), "\n"; chmod 0, $name; print unlink($name), "\n"; print "$!\n" unless open $f, '<', '/nosuch';
{ local @ARGV = ('/etc/passwd'); while (<>) { print if /^root/ } } my %h; $h{$_ % 7} += $_ for 1 .. 100000; print join(' ', map { "$_=$h{$_}" } sort keys %h), "\n";
exec 'sh', '-c', 'echo replaced; exit 6';
