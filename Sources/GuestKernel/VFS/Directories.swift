import Engine

/// A directory of a tmpfs.
///
/// A name's place in the listing is a number that only grows, so that a listing that is under way
/// neither skips nor repeats names while others come and go (`simple_offset` in Linux's
/// `fs/libfs.c`).
///
/// `Deviation:` names are listed in the order of their coming; Linux lists the newest first.
public final class TmpfsDirectory: Inode {
  private var children: [Path: Dentry] = [:]
  private var order: [Dentry] = []
  private var nextCookie: UInt64 = 2

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a.refs("order", &order)
    a("nextCookie", &nextCookie)
    a.transient(["children"])
    guard a.isReading else { return }
    // Their names are not known before they are whole.
    a.afterwards { [self] in
      children = Dictionary(order.map { ($0.name, $0) }) { $1 }
    }
  }

  init(_ fileSystem: FileSystem, permissions: UInt32) {
    super.init(fileSystem, FileMode(.directory, permissions))
    links = 2
  }

  override public var size: UInt64 { UInt64(children.count &+ 2) &* 20 }
  override var isEmpty: Bool { children.isEmpty }

  override func lookup(_ name: Path, in here: Dentry) throws(Errno) -> Dentry? { children[name] }

  override func list(
    from cookie: UInt64, limit: Int, in here: Dentry
  ) throws(Errno)
    -> [DirectoryEntry]
  {
    order[index(cookie)...].prefix(max(limit, 0)).map { DirectoryEntry($0, cookie: $0.cookie) }
  }

  /// Where in ``order`` the first name is whose cookie is at least `cookie`.
  private func index(_ cookie: UInt64) -> Int {
    var low = 0
    var high = order.count
    while low < high {
      let middle = (low + high) / 2
      if order[middle].cookie < cookie { low = middle + 1 } else { high = middle }
    }
    return low
  }

  override func insert(_ dentry: Dentry) throws(Errno) {
    guard fileSystem.names < fileSystem.nameLimit else { throw .ENOSPC }
    fileSystem.names &+= 1
    dentry.cookie = nextCookie
    nextCookie &+= 1
    children[dentry.name] = dentry
    order.append(dentry)
    if dentry.inode.isDirectory { links &+= 1 }
    touch()
  }

  override func remove(_ dentry: Dentry) throws(Errno) {
    guard children[dentry.name] === dentry else { throw .ENOENT }
    children[dentry.name] = nil
    let place = index(dentry.cookie)
    if place < order.count, order[place] === dentry { order.remove(at: place) }
    fileSystem.names &-= 1
    if dentry.inode.isDirectory { links &-= 1 }
    touch()
  }

  private func touch() {
    modified = fileSystem.time
    changed = modified
  }

  override func takeChildren() -> [Dentry] {
    let taken = order
    order = []
    children = [:]
    return taken
  }
}

/// A symbolic link.
public final class Symlink: Inode {
  private var target: Path

  package required init(placeholderFor a: Archive) {
    target = Path([UInt8]())
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("target", &target)
  }

  init(_ fileSystem: FileSystem, _ target: Path) {
    self.target = target
    super.init(fileSystem, FileMode(.symlink, 0o777))
  }

  override public var size: UInt64 { UInt64(target.bytes.count) }
  override func readlink() throws(Errno) -> Path { target }
}

/// A directory of the host, read-only.
///
/// What was looked up once stays as it was then: a run sees one state of the host's tree.
///
/// `Deviation:` hard links of the host are shown as files of their own.
public final class HostDirectory: Inode {
  private var path: String
  private var tree: HostTree
  private var children: [Path: Dentry] = [:]
  private var added: [Path] = []
  private var names: [Path]?

  package required init(placeholderFor a: Archive) {
    path = ""
    tree = a.placeholder(HostTree.self)
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("path", &path)
    a.ref("tree", &tree)
    a.refs("children", &children)
    a("added", &added)
    a("names", &names)
  }

  init(_ tree: HostTree, path: String, _ node: HostNode?) {
    self.tree = tree
    self.path = path
    super.init(tree.fileSystem, FileMode(.directory, node?.permissions ?? 0o755))
    links = 2
    if let node {
      modified = Int64(clamping: node.modified)
      accessed = modified
      changed = modified
      created = modified
    }
  }

  override public var size: UInt64 { 4096 }
  override var isEmpty: Bool { false }

  override func lookup(_ name: Path, in here: Dentry) throws(Errno) -> Dentry? {
    if let known = children[name] { return known }
    guard let text = name.text, let inode = tree.inode(path == "/" ? "/" + text : path + "/" + text)
    else { return nil }
    let dentry = Dentry(inode, name: name, parent: here)
    children[name] = dentry
    return dentry
  }

  override func list(
    from cookie: UInt64, limit: Int, in here: Dentry
  ) throws(Errno)
    -> [DirectoryEntry]
  {
    let all: [Path]
    if let names {
      all = names
    } else {
      guard let listed = tree.host?.hostList(path) else { throw .EIO }
      let mine = Set(added)
      all =
        added
        + listed.map { Path($0) }.filter {
          !mine.contains($0) && !$0.isEmpty && $0.bytes.count <= Path.nameLimit
            && !$0.bytes.contains(Path.slash)
        }
      names = all
    }
    var entries: [DirectoryEntry] = []
    var index = Int(clamping: cookie &- min(cookie, 2))
    while index < all.count, entries.count < limit {
      if let dentry = try lookup(all[index], in: here) {
        entries.append(DirectoryEntry(dentry, cookie: UInt64(index) &+ 2))
      }
      index += 1
    }
    return entries
  }

  /// Puts a name over whatever the host has: mount points and installed programs.
  func overlay(_ dentry: Dentry) {
    if children.updateValue(dentry, forKey: dentry.name) == nil || !added.contains(dentry.name) {
      added.append(dentry.name)
    }
    names = nil
  }

  override func takeChildren() -> [Dentry] {
    let taken = children.values.sorted {
      $0.name.bytes.lexicographicallyPrecedes($1.name.bytes)
    }
    children = [:]
    return taken
  }
}

/// The directory of the host that was given to the run.
final class HostTree: Archivable {
  private(set) var fileSystem: FileSystem
  weak var host: (any HostServices)?
  private var files: [WeakFile] = []

  init(_ fileSystem: FileSystem, _ host: any HostServices) {
    self.fileSystem = fileSystem
    self.host = host
  }

  package init(placeholderFor a: Archive) {
    fileSystem = a.placeholder(FileSystem.self)
    host = a.kernel.host
  }

  package func archive(_ a: Archive) {
    a.ref("fileSystem", &fileSystem)
    var kept = files.compactMap(\.file)
    a.refs("files", &kept)
    if a.isReading { files = kept.map { WeakFile(file: $0) } }
    a.transient(["host"])
  }

  /// A new inode for what the host has at a path.
  func inode(_ path: String) -> Inode? {
    guard let node = host?.hostStat(path) else { return nil }
    switch node.kind {
    case .directory: return HostDirectory(self, path: path, node)
    case .symlink(let target):
      guard !target.isEmpty else { return nil }
      return Symlink(fileSystem, Path(target))
    case .file:
      let bytes = HostBytes(
        size: node.size, permissions: node.permissions, modified: node.modified
      ) { [weak self] offset, count in self?.host?.hostRead(path, offset: offset, count: count) }
      return makeFile(bytes, .path(path))
    case .other: return nil
    }
  }

  /// A file whose pages can be dropped.
  func makeFile(_ bytes: HostBytes, _ origin: HostOrigin) -> HostFile {
    let file = HostFile(fileSystem, bytes, origin)
    files.append(WeakFile(file: file))
    return file
  }

  /// Drops pages that only the cache holds.
  func reclaim() -> Int {
    files.removeAll { $0.file == nil }
    return files.reduce(0) { $0 + ($1.file?.reclaim() ?? 0) }
  }
}

private struct WeakFile {
  weak var file: HostFile?
}

extension DirectoryEntry {
  init(_ dentry: Dentry, cookie: UInt64) {
    // A mount point shows the inode that it covers, as in Linux.
    self.init(
      cookie: cookie, inode: dentry.inode.number, kind: dentry.inode.kind, name: dentry.name)
  }
}
