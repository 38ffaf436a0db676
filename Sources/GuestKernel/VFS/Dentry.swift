import Engine

/// A name of an inode in a directory (`struct dentry`), or the root of a file system, or the
/// nameless place of a pipe and the like.
///
/// Hard links are several dentries of one inode.
public final class Dentry: Archivable {
  /// What the name stands for.
  public private(set) var inode: Inode
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
  private(set) var isRoot: Bool

  /// A name for `inode` in the directory `parent`.
  public init(_ inode: Inode, name: Path, parent: Dentry?, isRoot: Bool = false) {
    self.inode = inode
    self.name = name
    self.parent = parent
    self.isRoot = isRoot
  }

  package init(placeholderFor a: Archive) {
    inode = a.placeholder(Inode.self)
    name = Path([UInt8]())
    isRoot = false
  }

  package func archive(_ a: Archive) {
    a.ref("inode", &inode)
    a("name", &name)
    a.ref("parent", &parent)
    a("isUnlinked", &isUnlinked)
    a.ref("mounted", &mounted)
    a.ref("covered", &covered)
    a("cookie", &cookie)
    a("isRoot", &isRoot)
  }

  /// The file system that the name is in: what it is compared by for `EXDEV`.
  var fileSystem: FileSystem { isRoot ? inode.fileSystem : (parent ?? self).inode.fileSystem }

  deinit {
    // A long chain of removed directories goes one by one, not by recursion.
    var next = parent
    parent = nil
    while isKnownUniquelyReferenced(&next) {
      let up = next?.parent
      next?.parent = nil
      next = up
    }
  }
}

extension Dentry {
  /// Its path as seen from `root`, `nil` for the root of all.
  ///
  /// A removed name has ` (deleted)` behind it.
  func path(below root: Dentry?) -> Path {
    let (path, _) = components(below: root)
    return isUnlinked ? Path(path.bytes + Array(" (deleted)".utf8)) : path
  }

  /// Its path, and whether `root` is above it.
  func components(below root: Dentry?) -> (path: Path, isReachable: Bool) {
    if parent == nil, !isRoot { return (name, true) }
    var names: [Path] = []
    var here = self
    var isReachable = root == nil
    while true {
      if here === root {
        isReachable = true
        break
      }
      if here.isRoot {
        guard let covered = here.covered else { break }
        here = covered
        continue
      }
      guard let up = here.parent else { break }
      names.append(here.name)
      here = up
    }
    guard !names.isEmpty else { return ("/", isReachable) }
    var bytes: [UInt8] = []
    for name in names.reversed() {
      bytes.append(Path.slash)
      bytes += name.bytes
    }
    return (Path(bytes), isReachable)
  }
}
