/// A name of an inode in a directory (`struct dentry`), or the root of a file system, or the
/// nameless place of a pipe and the like. Hard links are several dentries of one inode.
public final class Dentry {
  /// What the name stands for.
  public let inode: Inode
  /// The name in the directory; of the root `/`; of nameless files what `/proc/self/fd` shows.
  public internal(set) var name: Path
  /// The directory it is in; `nil` for roots and nameless files.
  public internal(set) var parent: Dentry?
  /// Whether the name was removed.
  public internal(set) var isUnlinked = false

  /// The root of the file system that is mounted here.
  var mounted: Dentry?
  /// For the root of a mounted file system: what it covers.
  weak var covered: Dentry?
  /// Place in the listing of a ``TmpfsDirectory``.
  var cookie: UInt64 = 0
  /// Whether it is the root of a file system.
  let isRoot: Bool

  /// A name for `inode` in the directory `parent`.
  public init(_ inode: Inode, name: Path, parent: Dentry?, isRoot: Bool = false) {
    self.inode = inode
    self.name = name
    self.parent = parent
    self.isRoot = isRoot
  }
}
