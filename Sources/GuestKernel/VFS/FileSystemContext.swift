import Engine

/// Where a process is in the tree (`struct fs_struct`), and as whom.
public final class FileSystemContext: Archivable {
  /// Where absolute paths begin.
  public internal(set) var root: Dentry
  /// Where relative paths begin.
  public internal(set) var cwd: Dentry
  /// Permissions that new files do not get.
  public var umask: UInt32 = 0o022
  /// As whom.
  public var credentials = Credentials()

  /// A context at the given places.
  public init(root: Dentry, cwd: Dentry) {
    self.root = root
    self.cwd = cwd
  }

  package init(placeholderFor a: Archive) {
    root = a.placeholder(Dentry.self)
    cwd = root
  }

  package func archive(_ a: Archive) {
    a.ref("root", &root)
    a.ref("cwd", &cwd)
    a("umask", &umask)
    a("credentials", &credentials)
  }

  /// `fork` without `CLONE_FS`.
  public func clone() -> FileSystemContext {
    let copy = FileSystemContext(root: root, cwd: cwd)
    copy.umask = umask
    copy.credentials = credentials
    return copy
  }
}
