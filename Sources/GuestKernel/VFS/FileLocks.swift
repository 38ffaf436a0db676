/// Locks on one inode.
final class FileLocks {
}
