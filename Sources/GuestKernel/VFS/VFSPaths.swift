/// Operations that find a place in the tree and leave it as it is.
extension VFS {
  /// What a path names.
  public func resolve(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil,
    flags: LookupFlags = .follow
  ) throws(Errno) -> Dentry {
    if path.isEmpty, flags.contains(.emptyPath) {
      let here = base ?? context.cwd
      if flags.contains(.directory), !here.inode.isDirectory { throw .ENOTDIR }
      return here
    }
    var walk = PathWalk(context, from: base, flags)
    return try walk.walk(path)
  }

  /// The path of a dentry as seen from a context's root, with ` (deleted)` behind a removed one.
  public func path(of dentry: Dentry, _ context: FileSystemContext? = nil) -> Path {
    dentry.path(below: context?.root)
  }

  /// `getcwd`: `ENOENT` where the directory was removed.
  public func currentDirectory(_ context: FileSystemContext) throws(Errno) -> Path {
    guard !context.cwd.isUnlinked else { throw .ENOENT }
    let (path, isReachable) = context.cwd.components(below: context.root)
    return isReachable ? path : Path(Array("(unreachable)".utf8) + path.bytes)
  }

  /// `chdir`.
  public func changeDirectory(_ path: Path, _ context: FileSystemContext) throws(Errno) {
    let found = try resolve(path, context, flags: [.follow, .directory])
    try found.inode.checkAccess(1, context.credentials)
    context.cwd = found
  }

  /// `fchdir`.
  public func changeDirectory(to file: OpenFile, _ context: FileSystemContext) throws(Errno) {
    guard file.inode.isDirectory else { throw .ENOTDIR }
    try file.inode.checkAccess(1, context.credentials)
    context.cwd = file.dentry
  }

  /// `chroot`.
  public func changeRoot(_ path: Path, _ context: FileSystemContext) throws(Errno) {
    let found = try resolve(path, context, flags: [.follow, .directory])
    try found.inode.checkAccess(1, context.credentials)
    guard context.credentials.uid == 0 else { throw .EPERM }
    context.root = found
  }

  /// `readlinkat`; with an empty path the link `base` itself.
  public func readlink(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil
  )
    throws(Errno) -> Path
  {
    if path.isEmpty {
      guard let base, base.inode.kind == .symlink else { throw .ENOENT }
      return try base.inode.readlink()
    }
    let found = try resolve(path, context, from: base, flags: [])
    guard found.inode.kind == .symlink else { throw .EINVAL }
    found.inode.noteAccess()
    return try found.inode.readlink()
  }

  /// `faccessat2`: mode 4 read, 2 write, 1 execute, 0 existence.
  public func access(
    _ path: Path, mode: UInt32, _ context: FileSystemContext, from base: Dentry? = nil,
    flags: LookupFlags = .follow
  ) throws(Errno) {
    guard mode & ~7 == 0 else { throw .EINVAL }
    let found = try resolve(path, context, from: base, flags: flags)
    if mode != 0 { try found.inode.checkAccess(mode, context.credentials) }
  }

  /// `statfs` of what was resolved.
  public func statistics(_ dentry: Dentry) -> FileSystemStatistics {
    dentry.inode.fileSystem.statistics
  }

  // MARK: Attributes

  private func checkWritable(_ inode: Inode) throws(Errno) {
    guard !inode.fileSystem.isReadOnly else { throw .EROFS }
  }

  /// `chmod`, `fchmod` on what was resolved.
  public func setMode(
    _ dentry: Dentry, _ mode: UInt32, _ context: FileSystemContext
  )
    throws(Errno)
  {
    let inode = dentry.inode
    try checkWritable(inode)
    guard inode.fileSystem.magic != FileSystem.procMagic else { throw .EPERM }
    guard inode.kind != .symlink else { throw .EOPNOTSUPP }
    try inode.checkOwner(context.credentials)
    inode.mode.permissions = mode
    inode.changed = inode.fileSystem.time
  }

  /// `chown`; `UInt32.max` keeps an id.
  public func setOwner(
    _ dentry: Dentry, uid: UInt32, gid: UInt32, _ context: FileSystemContext
  )
    throws(Errno)
  {
    let inode = dentry.inode
    try checkWritable(inode)
    let who = context.credentials
    let keepsUser = uid == .max || uid == inode.uid && who.uid == inode.uid
    let keepsGroup =
      gid == .max || who.uid == inode.uid && (gid == who.gid || who.groups.contains(gid))
    guard who.uid == 0 || keepsUser && keepsGroup else { throw .EPERM }
    if uid != .max { inode.uid = uid }
    if gid != .max { inode.gid = gid }
    if inode.kind == .regular {
      inode.mode.remove(.setUser)
      if inode.mode.permissions & 0o10 != 0 { inode.mode.remove(.setGroup) }
    }
    inode.changed = inode.fileSystem.time
  }

  /// `utimensat`.
  public func setTimes(
    _ dentry: Dentry, accessed: FileTime, modified: FileTime, _ context: FileSystemContext
  ) throws(Errno) {
    if accessed == .omit, modified == .omit { return }
    let inode = dentry.inode
    try checkWritable(inode)
    if accessed == .now, modified == .now {
      if context.credentials.uid != inode.uid { try inode.checkAccess(2, context.credentials) }
    } else {
      try inode.checkOwner(context.credentials)
    }
    let time = inode.fileSystem.time
    func apply(_ wanted: FileTime, _ value: inout Int64) {
      switch wanted {
      case .now: value = time
      case .omit: break
      case .at(let given): value = given
      }
    }
    apply(accessed, &inode.accessed)
    apply(modified, &inode.modified)
    inode.changed = time
  }
}
