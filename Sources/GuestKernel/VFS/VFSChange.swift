/// Operations that change names.
///
/// - SeeAlso: Linux, `fs/namei.c`: `filename_create`, `do_unlinkat`, `do_rmdir`, `do_renameat2`,
///   `do_linkat`.
extension VFS {
  /// Where a new name is to go: its directory and whether a slash follows it.
  private func placeToCreate(
    _ path: Path, _ context: FileSystemContext, _ base: Dentry?, isDirectory: Bool = false
  ) throws(Errno) -> (directory: Dentry, name: Path) {
    var walk = PathWalk(context, from: base, [])
    try walk.walkToLast(path)
    guard case .name(let name) = walk.last else { throw .EEXIST }
    guard try walk.lookup(name) == nil else { throw .EEXIST }
    guard isDirectory || !walk.hasTrailingSlash else { throw .ENOENT }
    guard !walk.here.inode.fileSystem.isReadOnly else { throw .EROFS }
    return (walk.here, name)
  }

  /// `mkdirat`.
  public func makeDirectory(
    _ path: Path, mode: UInt32, _ context: FileSystemContext, from base: Dentry? = nil
  ) throws(Errno) {
    let place = try placeToCreate(path, context, base, isDirectory: true)
    try makeFile(place.name, in: place.directory, context) { fileSystem in
      TmpfsDirectory(fileSystem, permissions: mode & 0o1777 & ~context.umask)
    }
  }

  /// `mknodat`: regular files (also for kind 0), FIFOs, sockets, devices.
  public func makeNode(
    _ path: Path, mode: UInt32, device: UInt64, _ context: FileSystemContext,
    from base: Dentry? = nil
  ) throws(Errno) {
    let bits = mode & FileKind.mask
    guard bits == 0 || FileKind(rawValue: bits) != nil else { throw .EINVAL }
    let kind = FileKind(rawValue: bits) ?? .regular
    if kind == .directory { throw .EPERM }
    if kind == .symlink { throw .EINVAL }
    let place = try placeToCreate(path, context, base)
    let permissions = mode & 0o7777 & ~context.umask
    if kind == .character || kind == .block, context.credentials.uid != 0 { throw .EPERM }
    try makeFile(place.name, in: place.directory, context) { fileSystem in
      switch kind {
      case .fifo: Pipe(fileSystem, permissions: permissions, isNamed: true)
      case .character, .block:
        self.makeDevice(fileSystem, kind, permissions, DeviceNumber(encoded: device))
      case .socket: Inode(fileSystem, FileMode(.socket, permissions))
      default: TmpfsFile(fileSystem, FileMode(.regular, permissions))
      }
    }
  }

  /// `symlinkat`.
  public func makeSymlink(
    _ target: Path, _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil
  ) throws(Errno) {
    guard !target.isEmpty else { throw .ENOENT }
    guard target.bytes.count < Path.pathLimit else { throw .ENAMETOOLONG }
    let place = try placeToCreate(path, context, base)
    try makeFile(place.name, in: place.directory, context) { Symlink($0, target) }
  }

  /// `linkat`; `flags`: ``LookupFlags/follow`` for `AT_SYMLINK_FOLLOW`, ``LookupFlags/emptyPath``.
  public func link(
    _ old: Path, from oldBase: Dentry? = nil, to new: Path, from newBase: Dentry? = nil,
    flags: LookupFlags = [], _ context: FileSystemContext
  ) throws(Errno) {
    let source = try resolve(old, context, from: oldBase, flags: flags)
    let place = try placeToCreate(new, context, newBase)
    guard source.fileSystem === place.directory.inode.fileSystem else { throw .EXDEV }
    try checkMayCreate(in: place.directory, context)
    let inode = source.inode
    guard !inode.isDirectory else { throw .EPERM }
    let isLinkable = (inode as? TmpfsFile)?.isLinkable ?? false
    guard inode.links > 0 || isLinkable else { throw .ENOENT }
    guard inode.links < UInt32.max else { throw .EMLINK }
    try place.directory.inode.insert(Dentry(inode, name: place.name, parent: place.directory))
    (inode as? TmpfsFile)?.isLinkable = false
    inode.links &+= 1
    inode.changed = inode.fileSystem.time
  }

  /// Checks that a name may be removed from its directory.
  private func checkMayRemove(
    _ victim: Dentry, from directory: Dentry, _ context: FileSystemContext
  )
    throws(Errno)
  {
    try directory.inode.checkAccess(3, context.credentials)
    let who = context.credentials.uid
    if directory.inode.mode.contains(.sticky), who != 0, who != victim.inode.uid,
      who != directory.inode.uid
    {
      throw .EPERM
    }
    guard directory.inode is TmpfsDirectory else { throw .EPERM }
  }

  /// Takes a name away; with the last one the inode goes when nobody has it open.
  private func drop(_ victim: Dentry, from directory: Dentry) throws(Errno) {
    try directory.inode.remove(victim)
    victim.isUnlinked = true
    victim.inode.links = victim.inode.isDirectory ? 0 : victim.inode.links &- 1
    victim.inode.changed = victim.inode.fileSystem.time
  }

  /// `unlinkat` without `AT_REMOVEDIR`.
  public func unlink(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil
  )
    throws(Errno)
  {
    var walk = PathWalk(context, from: base, [])
    try walk.walkToLast(path)
    guard case .name(let name) = walk.last else { throw .EISDIR }
    guard !walk.here.inode.fileSystem.isReadOnly else { throw .EROFS }
    guard let victim = try walk.lookupCovered(name) else { throw .ENOENT }
    guard !walk.hasTrailingSlash else { throw victim.inode.isDirectory ? .EISDIR : .ENOTDIR }
    try checkMayRemove(victim, from: walk.here, context)
    guard !victim.inode.isDirectory else { throw .EISDIR }
    try drop(victim, from: walk.here)
  }

  /// `unlinkat` with `AT_REMOVEDIR`.
  public func removeDirectory(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil
  )
    throws(Errno)
  {
    var walk = PathWalk(context, from: base, [])
    try walk.walkToLast(path)
    let name: Path
    switch walk.last {
    case .name(let given): name = given
    case .dot: throw .EINVAL
    case .dotDot: throw .ENOTEMPTY
    case .place: throw .EBUSY
    }
    guard !walk.here.inode.fileSystem.isReadOnly else { throw .EROFS }
    guard let victim = try walk.lookupCovered(name) else { throw .ENOENT }
    try checkMayRemove(victim, from: walk.here, context)
    guard victim.inode.isDirectory else { throw .ENOTDIR }
    guard victim.mounted == nil else { throw .EBUSY }
    guard victim.inode.isEmpty else { throw .ENOTEMPTY }
    try drop(victim, from: walk.here)
  }

  /// `renameat2`; flags: 1 `RENAME_NOREPLACE`, 2 `RENAME_EXCHANGE`.
  public func rename(
    _ old: Path, from oldBase: Dentry? = nil, to new: Path, from newBase: Dentry? = nil,
    flags: UInt32 = 0, _ context: FileSystemContext
  ) throws(Errno) {
    guard flags & ~3 == 0, flags != 3 else { throw .EINVAL }
    let exchanges = flags & 2 != 0
    var from = PathWalk(context, from: oldBase, [])
    try from.walkToLast(old)
    var to = PathWalk(context, from: newBase, [])
    try to.walkToLast(new)
    guard from.here.inode.fileSystem === to.here.inode.fileSystem else { throw .EXDEV }
    guard case .name(let oldName) = from.last else { throw .EBUSY }
    guard case .name(let newName) = to.last else { throw flags & 1 != 0 ? .EEXIST : .EBUSY }
    guard !from.here.inode.fileSystem.isReadOnly else { throw .EROFS }
    guard let moved = try from.lookupCovered(oldName) else { throw .ENOENT }
    let victim = try to.lookupCovered(newName)
    if flags & 1 != 0, victim != nil { throw .EEXIST }
    if exchanges {
      guard let victim else { throw .ENOENT }
      if !victim.inode.isDirectory, to.hasTrailingSlash { throw .ENOTDIR }
    }
    if !moved.inode.isDirectory, from.hasTrailingSlash || !exchanges && to.hasTrailingSlash {
      throw .ENOTDIR
    }
    guard !moved.isAbove(to.here) else { throw .EINVAL }
    if let victim, victim.isAbove(from.here) { throw exchanges ? .EINVAL : .ENOTEMPTY }
    if let victim, victim.inode === moved.inode { return }
    try checkMayRemove(moved, from: from.here, context)
    if let victim {
      try checkMayRemove(victim, from: to.here, context)
      if !exchanges {
        if moved.inode.isDirectory, !victim.inode.isDirectory { throw .ENOTDIR }
        if !moved.inode.isDirectory, victim.inode.isDirectory { throw .EISDIR }
      }
      guard victim.mounted == nil else { throw .EBUSY }
      if !exchanges, victim.inode.isDirectory, !victim.inode.isEmpty { throw .ENOTEMPTY }
    } else {
      try checkMayCreate(in: to.here, context)
    }
    guard moved.mounted == nil else { throw .EBUSY }

    try from.here.inode.remove(moved)
    if let victim {
      if exchanges { try to.here.inode.remove(victim) } else { try drop(victim, from: to.here) }
    }
    try place(moved, in: to.here, as: newName)
    if exchanges, let victim { try place(victim, in: from.here, as: oldName) }
  }

  private func place(_ dentry: Dentry, in directory: Dentry, as name: Path) throws(Errno) {
    dentry.name = name
    dentry.parent = directory
    try directory.inode.insert(dentry)
    dentry.inode.changed = dentry.inode.fileSystem.time
  }

  /// `truncate`.
  public func truncate(_ path: Path, to size: Int64, _ context: FileSystemContext) throws(Errno) {
    guard size >= 0 else { throw .EINVAL }
    let inode = try resolve(path, context).inode
    guard !inode.isDirectory else { throw .EISDIR }
    guard inode.kind == .regular else { throw .EINVAL }
    try inode.checkAccess(2, context.credentials)
    guard inode.writeDenials == 0 else { throw .ETXTBSY }
    try inode.truncate(to: UInt64(size))
  }
}

extension Dentry {
  /// Whether it is `other` or a directory above it.
  func isAbove(_ other: Dentry) -> Bool {
    var here: Dentry? = other
    while let place = here {
      if place === self { return true }
      here = place.isRoot ? place.covered : place.parent
    }
    return false
  }
}
