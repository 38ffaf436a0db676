/// How a path is walked.
public struct LookupFlags: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Flags of the given bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// A symbolic link at the end is followed (not `AT_SYMLINK_NOFOLLOW`).
  public static let follow = LookupFlags(rawValue: 1)
  /// What is found must be a directory.
  public static let directory = LookupFlags(rawValue: 2)
  /// `AT_EMPTY_PATH`: an empty path is the base itself.
  public static let emptyPath = LookupFlags(rawValue: 4)
  /// `RESOLVE_NO_XDEV`.
  public static let noCrossing = LookupFlags(rawValue: 8)
  /// `RESOLVE_NO_MAGICLINKS`.
  public static let noMagicLinks = LookupFlags(rawValue: 16)
  /// `RESOLVE_NO_SYMLINKS`.
  public static let noSymlinks = LookupFlags(rawValue: 32)
  /// `RESOLVE_BENEATH`.
  public static let beneath = LookupFlags(rawValue: 64)
  /// `RESOLVE_IN_ROOT`.
  public static let inRoot = LookupFlags(rawValue: 128)
}

/// A walk along a path (`struct nameidata`): where it is, and how many symbolic links it has
/// followed.
///
/// - SeeAlso: Linux, `fs/namei.c`, `link_path_walk`; path_resolution(7).
struct PathWalk {
  /// The last component of a path is not looked up by ``walkToLast(_:)``: the operation decides
  /// what it means.
  enum Last {
    case name(Path)
    case dot, dotDot
    /// The path was slashes only, or a magic link took its place.
    case place
  }

  let credentials: Credentials
  let flags: LookupFlags
  /// Where `/` is, and above what `..` does not go.
  private let root: Dentry
  /// The directory the walk is in.
  private(set) var here: Dentry
  private(set) var last = Last.place
  /// Whether slashes follow the last component.
  private(set) var hasTrailingSlash = false
  private var links = 0
  private static let linkLimit = 40

  init(_ context: FileSystemContext, from base: Dentry?, _ flags: LookupFlags) {
    credentials = context.credentials
    self.flags = flags
    here = base ?? context.cwd
    root = flags.contains(.inRoot) || flags.contains(.beneath) ? here : context.root
  }

  /// Walks to the directory that the last component is in.
  mutating func walkToLast(_ path: Path) throws(Errno) {
    guard !path.isEmpty else { throw .ENOENT }
    guard path.bytes.count < Path.pathLimit else { throw .ENAMETOOLONG }
    var rest = path.bytes[...]
    try start(&rest)
    last = .place
    hasTrailingSlash = false
    while let first = rest.first {
      if first == Path.slash {
        rest.removeFirst()
        continue
      }
      guard here.inode.isDirectory else { throw .ENOTDIR }
      try here.inode.checkAccess(1, credentials)
      let end = rest.firstIndex(of: Path.slash) ?? rest.endIndex
      let name = Path(Array(rest[rest.startIndex..<end]))
      rest = rest[end...]
      let kind: Last = name == .dot ? .dot : name == .dotDot ? .dotDot : .name(name)
      if rest.allSatisfy({ $0 == Path.slash }) {
        last = kind
        hasTrailingSlash = !rest.isEmpty
        if case .dotDot = kind { try stepUp() }
        if case .name(let name) = kind, name.bytes.count > Path.nameLimit { throw .ENAMETOOLONG }
        return
      }
      switch kind {
      case .dot, .place: break
      case .dotDot: try stepUp()
      case .name(let name):
        guard let found = try lookup(name) else { throw .ENOENT }
        guard found.inode.kind == .symlink else {
          here = found
          guard found.inode.isDirectory else { throw .ENOTDIR }
          continue
        }
        if let target = try follow(found) {
          // The rest begins with a slash.
          rest = (target.bytes + rest)[...]
          try start(&rest)
        }
      }
    }
  }

  private mutating func start(_ rest: inout ArraySlice<UInt8>) throws(Errno) {
    guard rest.first == Path.slash else { return }
    guard !flags.contains(.beneath) else { throw .EXDEV }
    if flags.contains(.noCrossing), here.fileSystem !== root.fileSystem { throw .EXDEV }
    here = root
  }

  /// Counts a link and reads it.
  ///
  /// A magic link moves the walk itself: then the answer is `nil`.
  private mutating func follow(_ link: Dentry) throws(Errno) -> Path? {
    guard !flags.contains(.noSymlinks) else { throw .ELOOP }
    links += 1
    guard links <= Self.linkLimit else { throw .ELOOP }
    if let target = try link.inode.magicTarget() {
      guard !flags.contains(.noMagicLinks) else { throw .ELOOP }
      guard !flags.contains(.beneath), !flags.contains(.inRoot) else { throw .EXDEV }
      here = target
      return nil
    }
    let target = try link.inode.readlink()
    guard !target.isEmpty else { throw .ENOENT }
    return target
  }

  private mutating func stepUp() throws(Errno) {
    if here === root {
      guard !flags.contains(.beneath) else { throw .EXDEV }
      return
    }
    while here.isRoot, let covered = here.covered {
      guard !flags.contains(.noCrossing) else { throw .EXDEV }
      here = covered
      if here === root { return }
    }
    here = here.parent ?? here
    try crossMounts()
  }

  private mutating func crossMounts() throws(Errno) {
    while let mounted = here.mounted {
      guard !flags.contains(.noCrossing) else { throw .EXDEV }
      here = mounted
    }
  }

  /// What a name in this directory stands for, on top of what is mounted there.
  func lookup(_ name: Path) throws(Errno) -> Dentry? {
    guard var found = try lookupCovered(name) else { return nil }
    while let mounted = found.mounted {
      guard !flags.contains(.noCrossing) else { throw .EXDEV }
      found = mounted
    }
    return found
  }

  /// What a name in this directory stands for, below what is mounted there.
  func lookupCovered(_ name: Path) throws(Errno) -> Dentry? {
    guard here.inode.isDirectory else { throw .ENOTDIR }
    try here.inode.checkAccess(1, credentials)
    guard name.bytes.count <= Path.nameLimit else { throw .ENAMETOOLONG }
    return try here.inode.lookup(name, in: here)
  }

  /// Follows the link that the last component turned out to be, up to the new last component.
  mutating func followLast(_ link: Dentry) throws(Errno) {
    let slash = hasTrailingSlash
    guard let target = try follow(link) else {
      last = .place
      hasTrailingSlash = slash
      return
    }
    try walkToLast(slash ? target.appending("") : target)
  }

  /// Walks a path to its end.
  mutating func walk(_ path: Path) throws(Errno) -> Dentry {
    try walkToLast(path)
    while true {
      let found: Dentry
      if case .name(let name) = last {
        guard let there = try lookup(name) else { throw .ENOENT }
        if there.inode.kind == .symlink, flags.contains(.follow) || hasTrailingSlash {
          try followLast(there)
          continue
        }
        found = there
      } else {
        found = here
      }
      if hasTrailingSlash || flags.contains(.directory), !found.inode.isDirectory {
        throw .ENOTDIR
      }
      return found
    }
  }
}

extension Inode {
  /// Checks `mode` (4 read, 2 write, 1 execute or search) against the permission bits.
  ///
  /// - SeeAlso: Linux, `fs/namei.c`, `generic_permission`.
  final func checkAccess(_ mode: UInt32, _ who: Credentials) throws(Errno) {
    if mode & 2 != 0, fileSystem.isReadOnly, [.regular, .directory, .symlink].contains(kind) {
      throw .EROFS
    }
    let bits = self.mode.permissions
    if who.uid == 0 {
      if mode & 1 != 0, !isDirectory, bits & 0o111 == 0 { throw .EACCES }
      return
    }
    let shift: UInt32 =
      who.uid == uid ? 6 : who.gid == gid || who.groups.contains(gid) ? 3 : 0
    guard bits >> shift & 7 & mode == mode & 7 else { throw .EACCES }
  }

  /// Whether `who` may change attributes.
  final func checkOwner(_ who: Credentials) throws(Errno) {
    guard who.uid == 0 || who.uid == uid else { throw .EPERM }
  }
}
